"""The registry of logs (``datasets.toml``), and where the files of a log are found.

They are looked for in three places: the folder that RECSYS_LAB_DATA names, the user's cache, and a public address. In
each folder a log may lie in either of its two forms, the course's tables or the public files.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from recsys_lab.download import DataFileError, cache_folder, fetch, has_checksum


@dataclass(frozen=True)
class Entry:
    """What is known of a log without opening it.

    Attributes
    ----------
    name, title, licence, citation, homepage : str
    shippable : bool
        Whether the log may be passed on.
    rows : int or None
        Of its main table.
    simulated : bool
    notes : sequence of str
        What one should know before using it.
    folder : str
        Name of its folder below RECSYS_LAB_DATA and in the cache.
    files : dict of str to str
        The course's tables, with sha256.
    sources : sequence of dict
        The public files: `address`, and below it `files` with sha256.
    lacks, lacks_from_source : dict of str to str
        What the log cannot answer, and why; the second one where the public files hold something else.
    by_hand : str
        How to get it where there is no address.
    """

    name: str
    title: str
    licence: str
    shippable: bool
    citation: str
    homepage: str
    rows: int | None = None
    simulated: bool = False
    notes: Sequence[str] = ()
    folder: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    sources: Sequence[Mapping] = ()
    lacks: Mapping[str, str] = field(default_factory=dict)
    lacks_from_source: Mapping[str, str] | None = None
    by_hand: str = ""

    @property
    def source_files(self) -> dict[str, str]:
        """The public files with sha256."""
        return {file: sha for source in self.sources for file, sha in source["files"].items()}

    @property
    def addresses(self) -> dict[str, str]:
        """Where each public file is."""
        return {file: source["address"] + quote(file) for source in self.sources for file in source["files"]}


@lru_cache(maxsize=1)
def _entries() -> dict[str, Entry]:
    text = Path(__file__).with_name("datasets.toml").read_text(encoding="utf-8")
    return {name: Entry(name=name, **fields) for name, fields in tomllib.loads(text).items()}


def registry(name: str | None = None) -> dict[str, Entry] | Entry:
    """Return all entries, or the one of this name; raises ValueError with the nearest names if there is none."""
    entries = _entries()
    if name is None:
        return entries
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(str(name).lower().replace("_", "-"), entries, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(repr(n) for n in near)}?" if near else f"There are {', '.join(entries)}."
    raise ValueError(f"there is no log {name!r}. {hint} available() lists them all.")


def where(entry: Entry) -> str:
    """Tell where a log would come from, by looking at names of files only."""
    if entry.name == "bookshop":
        return "shipped"
    for found, _paths, _from_source in _complete(entry):
        return found
    return "can be downloaded" if entry.sources else "by hand"


def obtain(entry: Entry, download: bool = True, progress: bool | None = None) -> tuple[dict[str, Path], bool]:
    """Return the files of a log by name, and whether they are the public ones.

    Raises
    ------
    DataFileError
        If they are nowhere, or one of them is not the known file.
    DownloadError
        If a download failed.
    """
    for found, paths, from_source in _complete(entry):
        broken = [f for f, sha in _checksums(entry, from_source).items() if not has_checksum(paths[f], sha)]
        if not broken:
            return paths, from_source
        if found == "folder" or not (entry.sources and download):
            raise DataFileError(_not_the_known_file(entry, paths[broken[0]]))
    if not (entry.sources and download):
        raise DataFileError(_missing(entry))
    cache = cache_folder() / entry.folder
    addresses = entry.addresses
    return {f: fetch(addresses[f], cache / f, sha, progress=progress) for f, sha in entry.source_files.items()}, True


def _checksums(entry: Entry, from_source: bool) -> Mapping[str, str]:
    return entry.source_files if from_source else entry.files


def _places(entry: Entry) -> dict[str, Path]:
    folder = os.environ.get("RECSYS_LAB_DATA")
    places = {"folder": Path(folder) / entry.folder} if folder else {}
    return places | {"cache": cache_folder() / entry.folder}


def _complete(entry: Entry) -> Iterator[tuple[str, dict[str, Path], bool]]:
    """Places where all files of one form of the log lie, the preferred one first."""
    for found, place in _places(entry).items():
        for from_source in (False, True):
            paths = {file: place / file for file in _checksums(entry, from_source)}
            if paths and all(path.is_file() for path in paths.values()):
                yield found, paths, from_source


def _not_the_known_file(entry: Entry, path: Path) -> str:
    return (
        f"{entry.name}: {path} is not the file that the registry knows (its sha256 differs): it was changed, cut off "
        "while copying, or is another edition.\n  What to do: replace it, or take it away."
    )


def _missing(entry: Entry) -> str:
    places = "\n".join(f"    {place} ({found}){_some(entry, place)}" for found, place in _places(entry).items())
    if not entry.sources:
        how = f"{entry.by_hand}\n  Put into one of these folders: {', '.join(entry.files)}."
    else:
        how = "load it with download=True, or save these files in one of the folders under the names that stand "
        how += "first:\n" + "\n".join(f"    {file}: {address}" for file, address in entry.addresses.items())
    unset = "\n  RECSYS_LAB_DATA, which can name a folder with logs, is not set."
    unset = "" if os.environ.get("RECSYS_LAB_DATA") else unset
    return f"{entry.name} is not on this machine. Looked in\n{places}\n  How to get it: {how}{unset}"


def _some(entry: Entry, place: Path) -> str:
    """What is missing where only some of the files lie."""
    for files in (entry.files, entry.source_files):
        missing = [file for file in files if not (place / file).is_file()]
        if 0 < len(missing) < len(files):
            return f": {', '.join(missing)} missing"
    return ""
