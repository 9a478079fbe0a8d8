"""Two commands for a fresh machine: ``python -m recsys_lab lab`` and ``python -m recsys_lab test``.

Both first make or mend the environment (see environment.py), then use it. Standard library only. This file
keeps to Python 3.6 syntax, so that an older Python still gets as far as the message below.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 (an older Python may well be the one that runs this)
    sys.exit(
        f"recsys_lab needs Python 3.11 or newer; this is {sys.version.split()[0]} at {sys.executable}.\n"
        "Get one from https://www.python.org/downloads/ and start this command with it, for example:\n"
        "    python3.12 -m recsys_lab lab"
    )

from recsys_lab import capabilities, workspace
from recsys_lab.environment import CHECKERS, LOCK, ROOT, Stop, set_up

#: Stored outputs of marked cells are held against a new run; every other cell has to run without an error.
NBVAL = ["--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=60"]
NBVAL += ["--nbval-sanitize-with=tests/nbval_sanitize.cfg"]


def main(argv=None):
    """Run one command; return its exit status."""
    options, rest = parse(argv)
    try:
        if not ((ROOT / "pyproject.toml").is_file() and (ROOT / LOCK).is_file()):
            raise Stop(
                f"This recsys_lab is an installed copy in {ROOT}, not a checkout of the course.\n"
                "Clone the repository and run this inside it; 'recsys-lab --help' says what a copy can do."
            )
        extras = ["test"] if options.command == "test" else []
        python = python_at_hand(extras) if options.no_setup else set_up(extras)
        return options.run(python, options, rest)
    except Stop as stop:
        print(stop, file=sys.stderr)
    except OSError as error:
        print(f"{error}\nClose what uses .venv, look at rights and disk, then run this again.", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped. Run this again to go on.", file=sys.stderr)
        return 130
    return 1


def parse(argv):
    """Split the command line into our options and what goes on to JupyterLab or pytest."""
    parser = argparse.ArgumentParser(
        prog="python -m recsys_lab",
        description="Set up the lab in .venv beside pyproject.toml (the first time only), then use it.",
        epilog="See 'lab --help' and 'test --help'. Other arguments go on to JupyterLab or to pytest.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="lab | test")
    lab = add_command(commands, "lab", run_lab, "set up, then open JupyterLab on the labs")
    lab.add_argument("--no-browser", action="store_true", help="only print the address")
    lab.add_argument("--port", type=int, help="port to listen on; if it is taken, the next free one")
    test = add_command(commands, "test", run_checks, "set up, then run ruff, codespell and pytest")
    test.add_argument(
        "--require",
        type=capability_names,
        default=[],
        metavar="NAMES",
        help=f"any of {','.join(capabilities.CAPABILITIES)}: a check that lacks it fails, it is not skipped",
    )
    test.add_argument("--full", action="store_true", help="run the long versions of the checks too")
    options, rest = parser.parse_known_args(argv)
    return options, [word for word in rest if word != "--"]


def add_command(commands, name, run, text):
    """Add a command with what both have in common; return its parser."""
    others = {"lab": "JupyterLab", "test": "pytest"}[name]
    epilog = f"Other arguments go on to {others}."
    parser = commands.add_parser(name, help=text, description=text, epilog=epilog, allow_abbrev=False)
    parser.add_argument("--no-setup", action="store_true", help="use the environment at hand, install nothing")
    parser.set_defaults(run=run)
    return parser


def capability_names(text):
    """Read the list after ``--require``; its errors take argparse's form."""
    try:
        return capabilities.parse_names(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def python_at_hand(extras):
    """Return the Python that runs this, for ``--no-setup``, if it has what the command needs."""
    missing = [name for name in (CHECKERS if extras else ["jupyterlab"]) if find_spec(name) is None]
    if missing:
        raise Stop(
            f"{sys.executable} lacks {', '.join(missing)}. Leave --no-setup out, or install it here:\n"
            f"    {sys.executable} -m pip install --editable {'.[test]' if extras else '.'}"
        )
    return sys.executable


def run_lab(python, options, rest):
    """Open JupyterLab; return its exit status."""
    # the whole checkout can be browsed, so that links from a lab to the solutions and the README work
    command = [python, "-m", "jupyterlab", ROOT, *first_lab()]
    command += ["--LabApp.news_url=None"]  # no question about news in the way of a class
    command += ["--no-browser"] if options.no_browser else []
    command += ["--port", options.port] if options.port else []
    command += ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    print("Opening JupyterLab; Ctrl-C stops it.", flush=True)
    return run_program([*command, *rest])


def first_lab():
    """Bring work/ up to date; return the option that opens its first lab, nothing while there are no labs."""
    copies, lines = workspace.prepare(ROOT)
    print(*lines, sep="\n", end="\n" if lines else "", flush=True)
    return [f"--LabApp.default_url=/lab/tree/{path.relative_to(ROOT).as_posix()}" for path in copies[:1]]


def run_checks(python, options, rest):
    """Run every check, also after one has failed; return 1 if any did."""
    pytest = ["pytest", "-n", "auto", "--dist", "loadfile"]
    pytest += ["--require", ",".join(options.require)] if options.require else []
    pytest += ["--full"] if options.full else []
    checks = {
        "ruff check": ["ruff", "check", "."],
        "ruff format": ["ruff", "format", "--check", "."],
        "codespell": ["codespell_lib"],
        "pytest": [*pytest, *rest],
    }
    if any((ROOT / "solutions").glob("*.ipynb")):
        checks["nbval"] = [*pytest[:5], "solutions", *NBVAL]
    # One thread each: pytest already runs one worker a core.
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    lines = []
    failed = False
    for name, words in checks.items():
        print(f"--- {name}", flush=True)
        start = time.perf_counter()
        status = run_program([python, "-m", *words], **threads)
        failed = failed or status != 0
        lines.append(f"  {name:<14}{'FAILED' if status else 'ok':<8}{time.perf_counter() - start:7.1f} s")
    print("--- summary", *lines, sep="\n", flush=True)
    return int(failed)


def run_program(command, **variables):
    """Run a program in the foreground with its environment's programs on the PATH; return its exit status."""
    path = os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", "")])
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=str(ROOT),
        env={**os.environ, "PATH": path, **variables},
    )
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            pass  # the program has had it too: JupyterLab asks back, pytest prints what it has


if __name__ == "__main__":
    sys.exit(main())
