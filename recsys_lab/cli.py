"""The command ``recsys-lab``.

A command is one function that adds its parser; `COMMANDS` lists them all. What a command needs is imported when it
runs, so that ``--help`` answers at once.
"""

import argparse
import importlib
import os
import sys

import recsys_lab
from recsys_lab.environment import ROOT


def add_doctor(commands) -> None:
    """``recsys-lab doctor``: look at this machine."""
    parser = commands.add_parser("doctor", help="look at this machine and say what the labs will use")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.set_defaults(run=run_doctor)


def run_doctor(options) -> int:
    """Print what `recsys_lab.doctor.examine` found; 1 when a problem stops the labs."""
    from recsys_lab import doctor

    rows = doctor.examine()
    print(doctor.as_json(rows) if options.json else doctor.as_text(rows, encoding=sys.stdout.encoding))
    return int(any(row.state == "problem" for row in rows))


def add_data(commands) -> None:
    """``recsys-lab data [NAME]``: the data sets."""
    parser = commands.add_parser("data", help="list the data sets, or load one and say what it holds")
    parser.add_argument("name", nargs="?", metavar="NAME", help="a data set of the list")
    parser.set_defaults(run=run_data)


def run_data(options) -> int:
    """Print the list of data sets, or what one of them holds and under which licence."""
    from recsys_lab import datasets

    if options.name is not None:
        print(repr(datasets.load(options.name)))
        return 0
    print(f"{'name':<26}{'where':<20}what")
    for row in datasets.available().itertuples():
        print(f"{row.name:<26}{row.found:<20}{row.title}")
    print("More about one of them, its licence too: recsys-lab data NAME")
    return 0


def add_build(commands) -> None:
    """``recsys-lab build [NN ...]``: the notebooks of the labs."""
    parser = commands.add_parser("build", help="make the labs' notebooks from solutions/NN_topic.py")
    parser.add_argument("labs", nargs="*", metavar="NN", help="numbers of labs; all of them by default")
    parser.add_argument("--check", action="store_true", help="write and execute nothing; name what is stale")
    parser.add_argument("--force", action="store_true", help="execute also what has not changed")
    parser.set_defaults(run=run_build)


def run_build(options) -> int:
    """Build, or with ``--check`` say which files are stale; 1 when there is one."""
    building = authors_part("building")
    if not options.check:
        print(*building.build(ROOT, options.labs, options.force), sep="\n")
        return 0
    stale = building.check(ROOT, options.labs)
    print(*stale, *(["run: recsys-lab build"] if stale else ["all notebooks are up to date"]), sep="\n")
    return int(bool(stale))


def add_slides(commands) -> None:
    """``recsys-lab slides [NN ...]``: the decks."""
    parser = commands.add_parser("slides", help="make the decks from slides/NN_topic.md and the labs")
    parser.add_argument("decks", nargs="*", metavar="NN", help="numbers of decks; all of them by default")
    parser.add_argument("--check", action="store_true", help="write and execute nothing; name what is stale")
    parser.add_argument("--pdf", action="store_true", help="make PDFs too, in build/slides (needs Chromium)")
    parser.add_argument("--force", action="store_true", help="make also what has not changed")
    parser.set_defaults(run=run_slides)


def run_slides(options) -> int:
    """Make decks, or with ``--check`` say where slides, labs and pages disagree; 1 where they do."""
    slides = authors_part("slides")
    if not options.check:
        for line in slides.build(ROOT, options.decks, options.pdf, options.force):
            print(line, flush=True)
        return 0
    stale = slides.check(ROOT, options.decks)
    print(*stale, *(["run: recsys-lab slides"] if stale else ["all decks are up to date"]), sep="\n")
    return int(bool(stale))


def add_new(commands) -> None:
    """``recsys-lab new NN_topic``: a new lab."""
    parser = commands.add_parser("new", help="start the source of a new lab from a template")
    parser.add_argument("name", metavar="NN_topic", help="two digits and a topic, such as 03_popularity")
    parser.set_defaults(run=run_new)


def run_new(options) -> int:
    """Write the source and say what comes next."""
    path = authors_part("building").new(ROOT, options.name)
    number = options.name[:2]
    print(f"{path} is there. Write it and recsys_lab/checks/lab{number}.py, then: recsys-lab build {number}")
    return 0


def authors_part(name: str):
    """Import a module that only authors need, with what it needs."""
    try:
        return importlib.import_module(f"recsys_lab.{name}")
    except ModuleNotFoundError as error:
        raise ValueError(f"{error}: authors need more packages: pip install --editable '.[test]'") from None


def add_reset(commands) -> None:
    """``recsys-lab reset NN``: a lab from its beginning."""
    parser = commands.add_parser("reset", help="start a lab again in work/, and keep the old copy")
    parser.add_argument("lab", metavar="NN", help="number of the lab")
    parser.set_defaults(run=run_reset)


def run_reset(options) -> int:
    """Put a fresh copy in place."""
    from recsys_lab import workspace

    print(*workspace.reset(ROOT, options.lab), sep="\n")
    return 0


def add_demo(commands) -> None:
    """``recsys-lab demo``: the bookshop with its live recommendations."""
    from recsys_lab.serve.run import add_demo

    add_demo(commands)


def add_poll(commands) -> None:
    """``recsys-lab poll``: a live poll, or the report of one."""
    from recsys_lab.serve.poll_command import add_poll

    add_poll(commands)


#: Every command of ``recsys-lab``, in the order in which the help shows them.
COMMANDS = (add_doctor, add_data, add_reset, add_demo, add_poll, add_build, add_slides, add_new)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser with all commands."""
    parser = argparse.ArgumentParser(prog="recsys-lab", description=recsys_lab.__doc__)
    parser.add_argument("--version", action="version", version=recsys_lab.__version__)
    parser.add_argument("--traceback", action="store_true", help="show where an error comes from")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in COMMANDS:
        add(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : list of str, optional
        The arguments; those of the program by default.

    Returns
    -------
    int
        Exit status: what the command says, or 2 for wrong arguments and for an error that the package explains.
    """
    options = build_parser().parse_args(argv)
    try:
        status = options.run(options)
        sys.stdout.flush()
        return status
    except BrokenPipeError:  # the reader has seen enough: `recsys-lab data | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:
        if options.traceback:
            raise
        print(f"recsys-lab: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
