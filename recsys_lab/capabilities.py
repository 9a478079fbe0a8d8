"""What this machine can do beyond Python: a browser, Redis, node, the real logs, and how to get each.

Standard library only, because the set-up (``python -m recsys_lab``) asks here before anything is installed.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

#: Folders of the real logs below ``RECSYS_LAB_DATA``.
REAL_LOG_FOLDERS = (
    "diginetica",
    "goodbooks_10k",
    "gowalla",
    "ml_100k",
    "ml_1m",
    "ml_latest_small",
    "online_retail",
    "open_bandit",
    "retailrocket_behaviours",
    "rsc15_100k",
    "trivago_100k",
)


@dataclass(frozen=True)
class Capability:
    """One thing that some checks need beyond Python.

    Attributes
    ----------
    name : str
        What a test writes in ``@pytest.mark.needs(name)`` and a person after ``--require``.
    how : str
        How to get it, in one line.
    find : callable
        Takes nothing; gives where it is as a string, or None when it is not here.
    """

    name: str
    how: str
    find: Callable[[], str | None]


def find_browser() -> str | None:
    """Path of a Chromium or Google Chrome, from PATH or from where the installers of this system put it."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if path := shutil.which(name):
            return path
    candidates = []
    if sys.platform == "darwin":
        candidates = [
            Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"),
            Path("/Applications/Chromium.app/Contents/MacOS/Chromium"),
        ]
    elif sys.platform == "win32":
        roots = (os.environ.get(key) for key in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"))
        candidates = [Path(root, "Google/Chrome/Application/chrome.exe") for root in roots if root]
    return next((str(path) for path in candidates if path.is_file()), None)


def real_log_folders() -> list[str]:
    """Names of the real logs that lie in ``RECSYS_LAB_DATA``; empty when it is not set or not a folder.

    A folder counts when it holds at least one file.
    """
    root = os.environ.get("RECSYS_LAB_DATA")
    if not root:
        return []
    return [name for name in REAL_LOG_FOLDERS if any(Path(root, name).glob("*.*"))]


def find_real_logs() -> str | None:
    """Path in ``RECSYS_LAB_DATA`` when every real log is there: with some of them, checks would break off."""
    if len(real_log_folders()) < len(REAL_LOG_FOLDERS):
        return None
    return str(Path(os.environ["RECSYS_LAB_DATA"]).resolve())


#: Everything that a check may need, by name.
CAPABILITIES = {
    capability.name: capability
    for capability in (
        Capability(
            "browser",
            "install Chromium or Google Chrome (Debian, Ubuntu: apt-get install chromium)",
            find_browser,
        ),
        Capability(
            "redis",
            "install Redis (Debian, Ubuntu: apt-get install redis-server; macOS: brew install redis)",
            lambda: shutil.which("redis-server"),
        ),
        Capability(
            "node",
            "install Node.js from https://nodejs.org (Debian, Ubuntu: apt-get install nodejs npm)",
            lambda: shutil.which("node"),
        ),
        Capability(
            "real-logs",
            f"set RECSYS_LAB_DATA to the folder with the {len(REAL_LOG_FOLDERS)} real logs (rsc15_100k and so on)",
            find_real_logs,
        ),
    )
}


def missing(names: Iterable[str]) -> list[str]:
    """Those of `names` that are not here, in the order given."""
    return [name for name in names if CAPABILITIES[name].find() is None]


def parse_names(text: str) -> list[str]:
    """Split ``"redis,node"`` into names.

    Parameters
    ----------
    text : str
        Names with commas between them; blanks around them do not matter.

    Returns
    -------
    list of str

    Raises
    ------
    ValueError
        A name that nothing is known under; the message lists the valid ones.

    Examples
    --------
    >>> parse_names("redis, node")
    ['redis', 'node']
    >>> parse_names("cat")
    Traceback (most recent call last):
    ...
    ValueError: unknown capability 'cat'; valid names: browser, redis, node, real-logs
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in CAPABILITIES:
            raise ValueError(f"unknown capability {name!r}; valid names: {', '.join(CAPABILITIES)}")
    return names
