"""The environment of the course: ``.venv`` beside ``pyproject.toml``, made and kept up to date.

``python -m recsys_lab`` uses this file before anything is installed: standard library only. A stamp inside
.venv says what it was made from and whether that came to its end. Without that end it is made anew.
"""

import contextlib
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = "requirements-lock.txt"
STAMP = "recsys-lab.json"
#: Modules that the checks run as programs.
CHECKERS = ("ruff", "codespell_lib", "pytest", "xdist", "jupytext", "nbval")
IMPORTS = "import implicit, ipywidgets, jupyterlab, matplotlib, pyarrow, torch, recsys_lab"
#: What the output of a failed step may contain, and what to do then. The first row that fits counts.
HINTS = (
    (
        ("ensurepip", "python3-venv"),
        "install venv for it (Debian, Ubuntu: apt install python3-venv)",
    ),
    (("no space left", "not enough space", "quota exceeded"), "free about 3 GB of disk"),
    (("permission denied", "access is denied"), "work on a copy in a folder where you may write"),
    (("certificate", "unknownissuer"), "name the certificate of your network's proxy in SSL_CERT_FILE"),
    (("download.pytorch.org",), "get online, or name a folder with a torch wheel in PIP_FIND_LINKS"),
    (
        ("dns error", "connect", "timed out", "failed to fetch", "name resolution", "(from versions: none)"),
        "get online (HTTPS_PROXY, if there is a proxy); what was downloaded is kept",
    ),
    (("",), "run that command by hand to see all that it says"),
)


class Stop(Exception):
    """The command cannot go on; the text says what happened and what to do."""


# ---- set-up -----------------------------------------------------------------------------------------------


def set_up(extras: list[str]) -> Path:
    """Bring .venv up to date if need be, and return its Python."""
    start = time.perf_counter()
    if judge(extras)[0]:
        with only_one():
            todo, why = judge(extras)  # once more: another set-up may just have come to its end
            print(f"Setting up {ROOT / '.venv'}: {why}.", flush=True)
            if todo == "make":
                make()
            if todo:
                install(extras)
    print(f"ready in {time.perf_counter() - start:.1f} s", flush=True)
    return venv_python()


@contextlib.contextmanager
def only_one():
    """Keep a second set-up of the same folder out; the lock goes with the process, however that ends."""
    name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
    with open(Path(tempfile.gettempdir(), f"recsys-lab-{name}.lock"), "a") as handle:
        try:
            if os.name == "nt":
                import msvcrt

                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Stop("Another set-up of this folder is running: wait for it, then run this again.") from None
        yield


def make() -> None:
    """Make .venv from nothing. The stamp comes first, so that a break at any moment can be seen."""
    folder = ROOT / ".venv"
    if Path(sys.prefix).resolve() == folder.resolve():
        raise Stop(f"{folder} has to be made anew but is in use here: say 'deactivate', then run this again.")
    ours = any((folder / name).exists() for name in ("pyvenv.cfg", STAMP))
    if folder.exists() and not ours and any(folder.iterdir()):
        raise Stop(f"{folder} is in the way, not a Python environment: move it away, then run this again.")
    folder.mkdir(exist_ok=True)
    write_stamp({"ready": False})
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != STAMP:
            path.unlink()
    step("Python environment", [sys.executable, "-m", "venv", folder])


def install(extras: list[str]) -> None:
    """Put everything into .venv, and last of all the stamp of a finished set-up."""
    old, packages = read_stamp(), package_folder_times()
    extras = sorted({*extras, *(old or {}).get("extras", ())})
    write_stamp({"ready": False})
    uv = [venv_python(), "-m", "uv", "pip", "install", "--python", venv_python()]
    try:
        step("installer (uv)", [venv_python(), "-m", "pip", "install", "--quiet", "uv>=0.7"])
        step("torch for the CPU", *(uv + way for way in torch_ways(torch_range(), os.environ, sys.platform)))
        project = f".[{','.join(extras)}]" if extras else "."
        step("everything else", [*uv, "--constraint", LOCK, "--editable", project])
    except (Stop, KeyboardInterrupt):
        if package_folder_times() == packages:  # without a network, say: what was there is as good as before
            write_stamp(old) if old is not None else (ROOT / ".venv" / STAMP).unlink()
        raise
    step("does it import?", [venv_python(), "-c", IMPORTS])
    write_stamp({"ready": True, "hash": fingerprint(), "extras": extras, "place": str(ROOT)})


def package_folder_times() -> list[int]:
    """Return when a package was last put into .venv or taken out of it."""
    patterns = ("Lib/site-packages", "lib/python*/site-packages")
    return [path.stat().st_mtime_ns for pattern in patterns for path in (ROOT / ".venv").glob(pattern)]


# ---- one step ---------------------------------------------------------------------------------------------


def step(title: str, *commands: list) -> None:
    """Do one step and print its line; the first of `commands` that works is enough."""
    print(f"  {title:<28}", end="", flush=True)
    start, outputs = time.perf_counter(), ""
    for command in commands:
        status, output = call(command)
        outputs += output + "\n"  # of all ways: the first may have met a full disk, the last a missing network
        if status == 0:
            print(f"{time.perf_counter() - start:6.1f} s", flush=True)
            return
    print("failed", flush=True)
    shown = (subprocess.list2cmdline if os.name == "nt" else shlex.join)([str(word) for word in command])
    tail = "\n".join("    " + line for line in outputs.split("\n")[-16:] if line.strip())
    advice = next(hint for words, hint in HINTS if any(word in outputs.lower() for word in words))
    raise Stop(
        f"This ended with status {status}:\n    {shown}\nThe last lines of output:\n{tail}\n"
        f"What to do: {advice}. Then run this again."
    )


def call(command: list) -> tuple[int, str]:
    """Run an installer; return (exit status, output). Tests put their own in its place."""
    env = installer_environment(os.environ)
    words = [str(word) for word in command]
    done = subprocess.run(
        words, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode, done.stdout.decode("utf-8", "replace")


def installer_environment(environ: dict) -> dict:
    """Return the environment for pip and uv: nothing leads out of .venv, and uv hears what pip was told."""
    env = {key: value for key, value in environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    env.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1")
    if "PIP_INDEX_URL" in env and "UV_INDEX_URL" not in env:
        env.setdefault("UV_DEFAULT_INDEX", env["PIP_INDEX_URL"])
    if "PIP_CERT" in env:
        env.setdefault("SSL_CERT_FILE", env["PIP_CERT"])
    return env


def torch_range() -> str:
    """Return the dependency in pyproject.toml that says which torch will do."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return next(line for line in project["dependencies"] if line.startswith("torch"))


def torch_ways(wanted: str, environ: dict, platform: str) -> list[list]:
    """Return arguments of ``uv pip install`` that may give a CPU torch, to be tried in this order.

    uv does not read PIP_FIND_LINKS, and on Linux the usual index gives a build with several GB of CUDA. Where
    only a folder is searched, uv decides whether a wheel in it fits this Python, this system and the range.
    """
    ways = [["--no-index", "--no-deps", wanted]]  # works when one that satisfies the range is installed
    for place in environ.get("PIP_FIND_LINKS", "").split():
        folder = Path(place.removeprefix("file://"))
        if any(folder.glob("torch-*.whl")):
            ways.append(["--no-index", "--no-deps", "--find-links", folder, wanted])
    cpu = ["--torch-backend", "cpu"] if platform.startswith("linux") else []
    return [*ways, ["--constraint", LOCK, *cpu, wanted]]


# ---- what state .venv is in -------------------------------------------------------------------------------


def judge(extras: list[str]) -> tuple[str, str]:
    """Return what has to be done about .venv ("make", "update", or "" for nothing) and why."""
    if not (ROOT / ".venv").exists():
        return "make", "there is none yet"
    stamp = read_stamp()
    if stamp is not None and not stamp.get("ready"):
        return "make", "the last set-up did not come to its end"
    needed = ["pip", "torch", "jupyterlab", "recsys_lab", *(CHECKERS if "test" in extras else ())]
    found = modules_found(needed)
    if found is None or "pip" not in found:
        return "make", "it does not start or belongs to another Python"
    if stamp is None:
        return "update", "it was not made by this command"
    if stamp.get("place") != str(ROOT):
        return "make", "it was moved"
    if stamp.get("hash") != fingerprint() or not set(extras) <= set(stamp.get("extras", ())):
        return "update", "what it is made from has changed"
    return ("", "it is up to date") if found == needed else ("make", "packages have gone from it")


def modules_found(names: list[str]) -> list[str] | None:
    """Return those of `names` that .venv has; None if it does not start or is of another Python."""
    code = (
        "import json, sys; from importlib.util import find_spec; print(json.dumps([sys.prefix, "
        f"sys.version_info[:2], [name for name in {names!r} if find_spec(name)]]))"
    )
    try:
        command = [venv_python(), "-I", "-c", code]
        output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60).stdout
        prefix, version, found = json.loads(output)
        same = Path(prefix).samefile(ROOT / ".venv") and tuple(version) == sys.version_info[:2]
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return found if same else None


def venv_python() -> Path:
    """Return where the Python of .venv is, or would be."""
    return ROOT / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint() -> str:
    """Return a hash of all that .venv is made from."""
    digest = hashlib.sha256(repr(sys.version_info[:2]).encode())
    for path in (ROOT / "pyproject.toml", ROOT / LOCK, Path(__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def read_stamp() -> dict | None:
    """Return the stamp (``ready, hash, extras, place``), None if there is none, {} if it is not whole."""
    try:
        stamp = json.loads((ROOT / ".venv" / STAMP).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(stamp: dict) -> None:
    """Put a stamp in place in one move, so that there is never half of one."""
    path = ROOT / ".venv" / STAMP
    path.with_suffix(".new").write_text(json.dumps(stamp), encoding="utf-8")
    os.replace(path.with_suffix(".new"), path)
