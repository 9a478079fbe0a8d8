"""What this machine has and what the labs will use of it: ``recsys-lab doctor``.

`examine` returns rows and prints nothing; `as_text` and `as_json` show them.
"""

import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

from recsys_lab import capabilities

GIB = 2**30
SIGNS = {"ok": "✓", "note": "!", "problem": "✗"}
PLAIN_SIGNS = {"ok": "+", "note": "!", "problem": "x"}
PROBE_URL = "https://pypi.org/"
TORCH_ADVICE = "install torch again: pip install --force-reinstall torch"
# Asked in a process of its own: a broken torch may raise anything, or take the process down with it.
TORCH_QUESTION = """
import json, torch
device = "cpu"
if torch.cuda.is_available():
    device = torch.cuda.get_device_name(0)
elif torch.backends.mps.is_available():
    device = "Apple GPU (mps)"
print(json.dumps({"version": torch.__version__, "device": device, "threads": torch.get_num_threads()}))
"""


@dataclass(frozen=True)
class Row:
    """One line of the report.

    Attributes
    ----------
    what : str
        What was looked at.
    state : str
        ``"ok"``, ``"note"`` (a fact to know) or ``"problem"`` (the labs will not run).
    found : str
        What was found.
    advice : str
        What to do about it; empty when there is nothing to do.
    use : str
        How the closing line names it among the things that will be used; empty when it does not.
    """

    what: str
    state: str
    found: str
    advice: str = ""
    use: str = ""


def examine(probe_url: str = PROBE_URL, timeout: float = 3.0) -> list[Row]:
    """Look at the machine; takes some seconds, most of them for torch.

    Parameters
    ----------
    probe_url : str
        Address that is asked whether there is a network.
    timeout : float
        Longest wait for its answer in seconds.

    Returns
    -------
    list of Row
    """
    return [
        python_row(),
        *dependency_rows(),
        widgets_row(),
        torch_row(),
        memory_row(),
        disk_row(),
        network_row(probe_url, timeout),
        colab_row(),
        real_logs_row(),
        *(capability_row(name) for name in ("browser", "redis", "node")),
    ]


# ---- Python and packages ------------------------------------------------------------------------------------


def python_row() -> Row:
    """Python itself."""
    version = platform.python_version()
    where = f"{version} on {platform.system()} {platform.machine()}, {sys.executable}"
    if sys.version_info < (3, 11):  # noqa: UP036 (a newer package may have been put into an older Python)
        return Row("Python", "problem", where, "use Python 3.11 or newer")
    return Row("Python", "ok", where, use=f"Python {version}")


def requirements() -> list[tuple[str, str]]:
    """Return (name, lowest version) of each core dependency, from the metadata of the installed package."""
    try:
        lines = importlib.metadata.requires("recsys-lab") or []
    except importlib.metadata.PackageNotFoundError:
        lines = []
    found = (re.fullmatch(r"([\w.-]+)\s*>=\s*([\d.]+)", line.strip()) for line in lines)  # extras have a marker
    return [(match[1], match[2]) for match in found if match]


def dependency_rows() -> list[Row]:
    """One row for each core dependency."""
    wanted = requirements()
    if not wanted:
        advice = "python -m recsys_lab lab (or pip install --editable . in the checkout)"
        return [Row("recsys-lab", "problem", "not installed, so its packages are unknown", advice)]
    return [dependency_row(name, lowest) for name, lowest in wanted]


def dependency_row(name: str, lowest: str) -> Row:
    """Compare the installed version of a package with the lowest that will do."""
    advice = f'pip install "{name}>={lowest}"'
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Row(name, "problem", f"missing, {lowest} or newer is needed", advice)
    if release(version) < release(lowest):
        return Row(name, "problem", f"{version}, {lowest} or newer is needed", advice)
    return Row(name, "ok", version)


def release(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version without the zeros that say nothing.

    Examples
    --------
    >>> release("2.13.0+cpu"), release("2.4rc1") < release("2.10")
    ((2, 13), True)
    """
    numbers = [int(part) for part in re.match(r"[\d.]*", version)[0].split(".") if part]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def widgets_row() -> Row:
    """The major version of ipywidgets: the labs keep to what 7 and 8 have in common."""
    try:
        major = int(importlib.metadata.version("ipywidgets").split(".")[0])
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return Row("widgets", "problem", "no ipywidgets", "pip install ipywidgets")
    if major in (7, 8):
        return Row("widgets", "ok", f"generation {major}", use=f"widgets {major}")
    return Row("widgets", "note", f"generation {major}; the labs were tried with 7 and 8", use=f"widgets {major}")


def torch_row(python: str = sys.executable, timeout: float = 120.0) -> Row:
    """Import torch in another process and ask for a GPU."""
    command = [python, "-c", TORCH_QUESTION]
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=timeout)
        answer = json.loads(run.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return Row("GPU", "problem", f"torch did not answer within {timeout:.0f} s", TORCH_ADVICE)
    except (OSError, ValueError, IndexError):
        if "No module named 'torch'" in run.stderr:
            return Row("GPU", "note", "unknown without torch")  # that it is missing stands in its own row
        last = (run.stderr.strip().splitlines() or [f"exit status {run.returncode}"])[-1]
        return Row("GPU", "problem", f"torch does not import: {last}", TORCH_ADVICE)
    if answer["device"] == "cpu":
        found = f"none; torch computes on the CPU with {answer['threads']} threads"
        return Row("GPU", "ok", found, use=f"torch {answer['version']} on the CPU")
    return Row("GPU", "ok", answer["device"], use=f"torch {answer['version']} on {answer['device']}")


# ---- the machine --------------------------------------------------------------------------------------------


def memory_bytes() -> int | None:
    """Return the memory of this machine or container, None where it cannot be asked."""
    sizes = []
    try:
        sizes.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        sizes.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (AttributeError, OSError, ValueError):  # Windows; no container; "max"
        pass
    if sys.platform == "win32":
        sizes.append(windows_memory_bytes())
    return min(sizes, default=None)


def windows_memory_bytes() -> int:
    """Ask Windows for the size of its memory."""
    import ctypes

    kilobytes = ctypes.c_ulonglong()
    ctypes.windll.kernel32.GetPhysicallyInstalledSystemMemory(ctypes.byref(kilobytes))
    return kilobytes.value * 1024


def memory_row() -> Row:
    """Memory."""
    size = memory_bytes()
    if not size:
        return Row("memory", "note", "cannot be asked here")
    found = f"{size / GIB:.1f} GiB"
    if size < 3 * GIB:
        return Row("memory", "note", found, "close other programs; the labs want about 3 GiB")
    return Row("memory", "ok", found)


def disk_row() -> Row:
    """Free disk where the labs are worked on."""
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / GIB:.1f} GiB free here"
    if free < 0.2 * GIB:
        return Row("disk", "problem", found, "free 1 GiB of disk")
    if free < GIB:
        return Row("disk", "note", found, "free 1 GiB of disk before you download a real log")
    return Row("disk", "ok", found)


def network_row(url: str, timeout: float) -> Row:
    """Whether the network answers: no network is a fact, since the shipped shop needs none."""
    if answers(url, timeout):
        return Row("network", "ok", f"{url} answers")
    return Row("network", "note", f"{url} does not answer within {timeout:g} s; the shipped data needs no network")


def answers(url: str, timeout: float) -> bool:
    """Ask an address once, through the proxies of the environment."""
    reached = []

    def ask():
        try:
            request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "recsys-lab"})
            # a new opener: that of urlopen keeps the proxies it saw first
            urllib.request.build_opener().open(request, timeout=timeout).close()
            reached.append(True)
        except urllib.error.HTTPError:
            reached.append(True)  # it has answered, if only to say no
        except (OSError, ValueError):
            pass

    # In a thread, because the timeout of a socket does not hold for a name look-up.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(timeout)
    return bool(reached)


def on_colab() -> bool:
    """Whether this is Colab; a command started from a notebook there sees only the environment."""
    return "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ


def colab_row() -> Row:
    """Colab or not."""
    if on_colab():
        return Row("Colab", "note", "yes: files are gone when the machine is; save your copy to Drive", use="Colab")
    return Row("Colab", "ok", "no")


# ---- what only some parts need ------------------------------------------------------------------------------


def real_logs_row() -> Row:
    """The real logs."""
    names, total = capabilities.real_log_folders(), len(capabilities.REAL_LOG_FOLDERS)
    if len(names) == total:
        return Row("real logs", "ok", f"all {total}", use=f"{total} real logs")
    advice = capabilities.CAPABILITIES["real-logs"].how if os.environ.get("RECSYS_LAB_DATA") else ""
    if names:
        return Row("real logs", "note", f"{len(names)} of {total}: {', '.join(names)}", use=f"{len(names)} real logs")
    return Row("real logs", "note", "none" if advice else "none, RECSYS_LAB_DATA is not set", advice)


def capability_row(name: str) -> Row:
    """A program that only some parts need."""
    capability = capabilities.CAPABILITIES[name]
    path = capability.find()
    if path is None:
        return Row(name, "note", "not found; only some parts need it", capability.how)
    return Row(name, "ok", path)


# ---- showing ------------------------------------------------------------------------------------------------


def summary(rows: list[Row]) -> tuple[str, str]:
    """Return the two closing lines: what will be used, and what to do."""
    used = ", ".join(row.use for row in rows if row.use)
    problems = dict.fromkeys(row.advice for row in rows if row.state == "problem")  # the same advice once
    if problems:
        return f"The labs cannot run yet. What is there: {used}.", f"To do: {'; '.join(problems)}."
    notes = "; ".join(f"{row.what}: {row.advice}" for row in rows if row.advice)
    return f"The labs will use {used} and the shipped shop.", notes and f"To do only if you need it: {notes}."


def as_text(rows: list[Row], encoding: str | None = "utf-8") -> str:
    """Lay the rows out as a table with a sign and a word each, and the two closing lines."""
    try:
        "".join(SIGNS.values()).encode(encoding or "ascii")
        signs = SIGNS
    except UnicodeEncodeError:
        signs = PLAIN_SIGNS
    width = max(len(row.what) for row in rows)
    lines = [f"{signs[row.state]} {row.state:<7}  {row.what:<{width}}  {row.found}" for row in rows]
    return "\n".join([*lines, "", *filter(None, summary(rows))])


def as_json(rows: list[Row]) -> str:
    """Return the rows and the closing lines as JSON."""
    use, todo = summary(rows)
    return json.dumps({"rows": [asdict(row) for row in rows], "use": use, "todo": todo}, indent=2)
