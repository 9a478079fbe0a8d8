"""Download a file whose checksum is known, or say plainly why not and what to do.

pooch keeps the order of things: into a temporary file, check the sha256, move into place in one step. Added
here is what a class of thirty on one wireless network needs: a cut connection goes on where it stopped, two
processes never write into one file, a login page is not taken for data, and each failure says which address,
what was wrong and what to do.

What has arrived of an unfinished file waits beside it as ``name.part``. It is only ever a head start: the
whole file must have the known checksum, and if a resumed one has not, it is fetched again from its start.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from recsys_lab.progress import bar

CHUNK = 1 << 16


class DataFileError(OSError):
    """A log's file is not there, or is not the file that it should be."""


class DownloadError(DataFileError):
    """A download failed: names the address, what was wrong, and what to do."""


class _Cut(Exception):
    """The connection ended before the file did."""


def cache_folder() -> Path:
    """Return where downloads are kept: RECSYS_LAB_CACHE, or else the system's place for caches."""
    import pooch

    return Path(os.environ.get("RECSYS_LAB_CACHE") or pooch.os_cache("recsys-lab"))


def has_checksum(path: str | Path, sha256: str) -> bool:
    """Tell whether a file has this sha256; a file that has not changed is read only once."""
    state = Path(path).stat()
    return _sha256(str(path), state.st_mtime_ns, state.st_size) == sha256


@lru_cache(maxsize=512)
def _sha256(path: str, _mtime: int, _size: int) -> str:
    import pooch

    return pooch.file_hash(path)


def fetch(
    url: str,
    path: str | Path,
    sha256: str,
    *,
    progress: bool | None = None,
    tries: int = 4,
    pause: float = 0.5,
    timeout: float = 30.0,
    wait: float = 600.0,
) -> Path:
    """Return a file, after downloading it if it is not there yet.

    Parameters
    ----------
    url : str
        Public address, reachable without a login.
    path : str or Path
        Where the file goes. Under this name there is never anything but the whole, verified file.
    sha256 : str
        Its known checksum. A file that is there already and has another one is replaced.
    progress : bool, optional
        Draw a bar on stderr; by default on a terminal and in a notebook. RECSYS_LAB_PROGRESS=0 turns it off.
    tries : int
        Attempts in all when the connection fails; each goes on where the last one stopped.
    pause : float
        Seconds before the second attempt, doubled for each further one.
    timeout : float
        Give up on an attempt when nothing arrives for so many seconds.
    wait : float
        How many seconds to wait for another process that is downloading the same file.

    Returns
    -------
    Path

    Raises
    ------
    DownloadError
        For whatever goes wrong.
    """
    path = Path(path)
    if path.is_file() and has_checksum(path, sha256):
        return path
    get = _Resuming(path.with_name(path.name + ".part"), _wants_bar(progress), tries, pause, timeout)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path, url, wait):
            if path.is_file() and not has_checksum(path, sha256):
                path.unlink()  # so that the move at the end replaces nothing: on Windows that is not one step
            return _retrieve(url, path, sha256, get)
    except DataFileError:
        raise
    except OSError as error:
        with suppress(OSError):
            get.part.unlink()  # on a full disk it would be in the way
        raise DownloadError(_disk_message(url, path, error)) from error


def _retrieve(url: str, path: Path, sha256: str, get: _Resuming) -> Path:
    """Let pooch download, verify and move; a resumed file that turns out wrong is fetched afresh, once."""
    import pooch

    pooch.get_logger().setLevel("WARNING")
    for _ in range(2):
        try:
            pooch.retrieve(url, f"sha256:{sha256}", path.name, path.parent, downloader=get)
            return path
        except ValueError as error:  # pooch's word for a wrong checksum
            wrong = error
        if not get.resumed:
            break
    raise DownloadError(
        _message(
            url,
            path,
            f"what arrived is not the known file: its sha256 is not {sha256[:12]}…. It was thrown away.",
            "try once more. If it comes again, the file at that address has changed, or a proxy or a virus "
            "scanner on the way changes it: report it, with the address.",
        )
    ) from wrong


class _Resuming:
    """A downloader for pooch that goes on where the last attempt stopped.

    Parameters
    ----------
    part : Path
        Keeps what has arrived until the file is complete.
    show : bool
        Draw a bar.
    tries, pause, timeout
        See `fetch`.
    """

    def __init__(self, part: Path, show: bool, tries: int, pause: float, timeout: float):
        self.part, self.show, self.tries, self.pause, self.timeout = part, show, tries, pause, timeout
        self.resumed = False  # whether any byte of the last file came from an earlier attempt

    def __call__(self, url: str, output_file: str, pooch=None) -> None:
        """Download to `output_file`; called by pooch."""
        import requests

        final = self.part.with_suffix("")
        for attempt in range(self.tries):
            if attempt:
                time.sleep(self.pause * 2 ** (attempt - 1))
            try:
                self._attempt(url)
                os.replace(self.part, output_file)
                return
            except requests.HTTPError as error:
                failure = error
                if error.response.status_code != 429 and error.response.status_code < 500:
                    break
            except (_Cut, requests.RequestException) as error:
                failure = error
        raise DownloadError(_message(url, final, *_explain(failure, url, self.timeout))) from failure

    def _attempt(self, url: str) -> None:
        import requests

        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Accept-Encoding": "identity"}  # compressed on the way, a byte range would mean nothing
        if have:
            headers["Range"] = f"bytes={have}-"
        with requests.get(url, headers=headers, stream=True, timeout=self.timeout) as response:
            if response.status_code == 416:  # no byte after our last one: not this file's head
                self.part.unlink()
                raise _Cut("the server could not go on from the part that was there")
            response.raise_for_status()
            have = have if response.status_code == 206 else 0
            self.resumed = have > 0
            self._write(response, have, url)

    def _write(self, response, have: int, url: str) -> None:
        length = response.headers.get("Content-Length")
        total = have + int(length) if length else None
        chunks = response.iter_content(CHUNK)
        first = next(chunks, b"")
        _refuse_page(response, first, have, url, self.part.with_suffix(""))
        shown = bar(total, self.part.stem, self.show, unit="B", unit_scale=True, initial=have)
        with shown, _open(self.part, "ab" if have else "wb") as file:
            for chunk in (c for source in ([first], chunks) for c in source):
                file.write(chunk)
                have += len(chunk)
                shown.update(len(chunk))
        if total is not None and have != total:  # urllib3 1 does not notice
            raise _Cut(f"{have:,} of {total:,} bytes arrived")


_open = open  # the tests put a full disk here


def _refuse_page(response, first: bytes, have: int, url: str, path: Path) -> None:
    """Refuse HTML before a byte of it is written: no file of the registry is a web page."""
    starts = first.lstrip(b"\xef\xbb\xbf \t\r\n")[:15].lower().startswith((b"<!doctype html", b"<html"))
    if response.headers.get("Content-Type", "").lower().startswith("text/html") or (starts and not have):
        raise DownloadError(
            _message(
                url,
                path,
                f"{urlsplit(response.url).hostname} answered with a web page instead of the file.",
                "a network that wants you to log in first does this (hotel, campus): open any page in a "
                "browser, log in, and try again.",
            )
        )


def _explain(failure: Exception, url: str, timeout: float) -> tuple[str, str]:
    """Say what was wrong, and what to do."""
    import requests

    host = urlsplit(url).hostname
    if isinstance(failure, requests.HTTPError):
        return _explain_status(failure.response.status_code, host)
    if isinstance(failure, requests.Timeout) or "timed out" in str(failure).lower():
        return (
            f"{host} sent nothing for {timeout:g} seconds.",
            "try again later, or on another network; the download goes on where it stopped.",
        )
    if isinstance(failure, (_Cut, requests.exceptions.ChunkedEncodingError)) or "IncompleteRead" in str(failure):
        return f"the connection was cut ({failure}).", "call it again: it goes on where it stopped."
    if isinstance(failure, requests.exceptions.SSLError):
        return (
            f"the secure connection to {host} was refused ({failure}).",
            "check the computer's clock; on a company network, ask for its certificate (REQUESTS_CA_BUNDLE).",
        )
    if isinstance(failure, requests.ConnectionError):
        return (
            f"{host} could not be reached: no network, or a firewall or proxy in between.",
            "check the connection; behind a proxy set HTTPS_PROXY. Shipped data (bookshop) needs no network.",
        )
    return f"{type(failure).__name__}: {failure}.", "report it, with the address."


def _explain_status(status: int, host: str) -> tuple[str, str]:
    if status in (404, 410):
        return (
            f"{host} has no such file any more (status {status}).",
            "report it: the registry needs a new address.",
        )
    if status == 429 or status >= 500:
        return f"{host} is busy or out of order (status {status}).", "try again in some minutes."
    return (
        f"{host} refused it (status {status}).",
        "a proxy may do this: try another network.",
    )


def _disk_message(url: str, path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        free = shutil.disk_usage(path.parent).free / 2**20
        wrong = f"the disk is full ({free:,.0f} MiB free in {path.parent})."
        todo = "make room and call it again, or set RECSYS_LAB_CACHE to a folder on another disk."
    else:
        wrong = f"cannot write to {path.parent} ({error.strerror or error})."
        todo = "set RECSYS_LAB_CACHE to a folder that you may write to."
    return _message(url, path, wrong, todo)


def _message(url: str, path: Path, wrong: str, todo: str) -> str:
    return (
        f"could not download {path.name} from {url}\n  What went wrong: {wrong}\n  What to do: {todo}\n"
        f"  By hand: open the address in a browser and save the file as {path}"
    )


def _locked(path: Path, url: str, wait: float):
    """Let one process at a time fetch this file; the system frees the lock of a process that died."""
    import filelock

    lock = filelock.FileLock(str(path) + ".lock")
    try:
        return lock.acquire(timeout=wait)
    except filelock.Timeout as error:
        wrong = f"another process has been downloading it for more than {wait:g} seconds."
        raise DownloadError(_message(url, path, wrong, "wait for it or end it.")) from error


def _wants_bar(progress: bool | None) -> bool:
    return progress if progress is not None else sys.stderr.isatty() or "ipykernel" in sys.modules
