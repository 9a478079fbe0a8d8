"""Everything that a shop learned, as one folder: a model a role, the catalogue, readers and their segments.

::

    folder/
        CURRENT             the name of the version in use
        <version>/
            manifest.json   classes of the models, settings, when it was made
            <role>.npz      one model each
            items.parquet, history.parquet, readers.parquet

A version is never changed. A new one is written beside the old, and only then does ``CURRENT``, replaced in one step,
name it: a service that runs sees either the old one or the new one, whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from recsys_lab import __version__, models
from recsys_lab.cleaning import Cleaning
from recsys_lab.download import cache_folder
from recsys_lab.interactions import Sessions
from recsys_lab.models.base import Recommender
from recsys_lab.serve.catalogue import Catalogue
from recsys_lab.serve.segments import Segments

CURRENT, MANIFEST, PART = "CURRENT", "manifest.json", "part-"
KEPT = 2  # versions that stay in a folder: the one in use, and the one that a service may still be loading


def shop_models() -> dict[str, Recommender]:
    """Models of the bookshop by role, not yet fitted. GRU4Rec has the settings of lab 06."""
    session = models.GRU4Rec(layers=[64], batch_size=128, n_sample=256, sample_alpha=0.75, learning_rate=0.1,
                             dropout_p_embed=0.0, dropout_p_hidden=0.4, n_epochs=6, device="cpu")  # fmt: skip
    return {
        "session": session,
        "neighbours": models.SessionKNN(),
        "user": models.ALS(factors=32, by="user", alpha=10.0, regularization=1.0, iterations=10),
        "popular": models.RecentPopularity(half_life="7D"),
        "related": models.ItemKNN(),
        "together": models.FrequentlyBoughtTogether(),
    }


class BundleError(ValueError):
    """A folder holds no whole bundle; says what is missing and what to do."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """What was learned; see the head of this module.

    Attributes
    ----------
    models : dict of str to Recommender
        By role: "session", "neighbours", "user", "popular", "related", "together". "popular" has to be there.
    catalogue : Catalogue
    history : DataFrame
        What known readers did: `user_id, item_id, event, timestamp`, in time order.
    segments : Segments or None
    version : str
    """

    models: dict[str, Recommender]
    catalogue: Catalogue
    history: pd.DataFrame
    segments: Segments | None = None
    version: str = "unsaved"

    @classmethod
    def train(cls, dataset, progress: Callable[[str], object] | None = None, roles: dict | None = None) -> Bundle:
        """Learn from a shop's log.

        Parameters
        ----------
        dataset : Dataset
            With `events` and `items`, and timestamps.
        progress : callable, optional
            Told what is being learned, before each model.
        roles : dict of str to Recommender, optional
            Other models than those of `shop_models`. A role for which the log holds nothing, such as readers where
            everybody is anonymous, is left out.

        Raises
        ------
        ValueError
            If there is no table of items, or no time in the log.
        """
        if dataset.items is None or "timestamp" not in dataset.events:
            raise ValueError("a shop needs a table of items and a log with timestamps. Fix: datasets.load('bookshop')")
        log = Cleaning(dataset.events).drop_double_fires().drop_bots().events
        everything = Sessions.from_frame(log, validate=False)
        views = everything.only("view")
        visits = views.longer_than(1)
        tables = {
            "popular": views,
            "together": everything.only("purchase"),
            "user": everything.only("view", "cart", "purchase"),
        }
        fitted = {}
        for role, model in (roles or shop_models()).items():
            table = tables.get(role, visits)
            if role != "popular" and not _teaches(table, model):
                continue
            if progress:
                progress(f"{role}: {type(model).__name__}")
            fitted[role] = model.fit(table)
        history = _history(log)
        catalogue = Catalogue(dataset.items)
        segments = Segments.fit(fitted["user"], catalogue) if "user" in fitted else None
        return cls(fitted, catalogue, history, segments)

    def save(self, folder: str | Path) -> Bundle:
        """Write a new version into a folder and make it the current one; return it under its name.

        The same models make the same version. One process writes into a folder at a time; others wait.

        Raises
        ------
        BundleError
            If nothing can be written there.
        """
        folder = Path(folder)
        with _locked(folder, "save.lock"):
            part = Path(tempfile.mkdtemp(dir=folder, prefix=PART))
            try:
                version = self._write(part)
                if not _whole(folder / version):
                    shutil.rmtree(folder / version, ignore_errors=True)
                    os.replace(part, folder / version)
                _point(folder, version)
            finally:
                _tidy(folder)
        return replace(self, version=version)

    def _write(self, part: Path) -> str:
        """Write everything into an empty folder; return the name of the version."""
        for role, model in self.models.items():
            model.save(part / f"{role}.npz")
        self.catalogue.table.to_parquet(part / "items.parquet")
        self.history.to_parquet(part / "history.parquet")
        if self.segments is not None:
            self.segments.table.to_parquet(part / "readers.parquet")
        classes = {role: type(model).__name__ for role, model in self.models.items()}
        files = {path.name: _digest(path) for path in sorted(part.iterdir())}
        manifest = {"models": classes, "files": files, "made": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        (part / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        return _version(manifest)

    @classmethod
    def load(cls, folder: str | Path) -> Bundle:
        """Read the current version of a folder.

        Raises
        ------
        BundleError
            If it is not there or damaged.
        """
        folder = Path(folder)
        version = current(folder)
        if version is None:
            raise BundleError(f"{folder} holds no trained shop. Fix: Bundle.train(dataset).save(folder)")
        place = folder / version
        try:
            manifest = _checked(place)
            fitted = {r: getattr(models, name).load(place / f"{r}.npz") for r, name in manifest["models"].items()}
            readers = place / "readers.parquet"
            segments = Segments(pd.read_parquet(readers)) if readers.exists() else None
            catalogue, history = (pd.read_parquet(place / f"{name}.parquet") for name in ("items", "history"))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            if current(folder) not in (None, version):  # replaced, and tidied away, while it was being read
                return cls.load(folder)
            raise BundleError(f"{place} is damaged ({error}). Fix: delete {folder} and train again.") from error
        return cls(fitted, Catalogue(catalogue), history, segments, version)

    @classmethod
    def obtain(cls, folder: str | Path | None = None, progress: Callable[[str], object] | None = None) -> Bundle:
        """Load the bookshop's bundle, or train it (under a minute) and keep it.

        Parameters
        ----------
        folder : path, optional
            By default a folder of the cache that belongs to these data and settings. One process trains; others wait.

        Raises
        ------
        BundleError
            If it has to be trained and nothing can be written there.
        """
        folder = default_folder() if folder is None else Path(folder)
        with suppress(BundleError):
            return cls.load(folder)
        with _locked(folder, "lock"):
            with suppress(BundleError):  # another process made it meanwhile
                return cls.load(folder)
            from recsys_lab import datasets

            return cls.train(datasets.load("bookshop"), progress).save(folder)


def default_folder() -> Path:
    """Return where the bookshop's bundle is kept: it depends on the shipped data and the models' settings."""
    from recsys_lab.bookshop import data_folder

    sums = (data_folder() / "SHA256SUMS").read_text(encoding="utf-8")
    settings = repr(shop_models()) + __version__ + sums
    return cache_folder() / "shop" / hashlib.sha256(settings.encode()).hexdigest()[:16]


def _locked(folder: Path, name: str):
    """Let one process at a time into a folder, which is made if missing; a process that died holds no lock."""
    from filelock import FileLock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / name).acquire()
    except OSError as error:
        fix = "name a folder that you may write to; that of the cache is set by RECSYS_LAB_CACHE."
        raise BundleError(f"cannot write to {folder} ({error.strerror or error}). Fix: {fix}") from error


def current(folder: str | Path) -> str | None:
    """Return the name of the version in use, None where there is none."""
    try:
        name = (Path(folder) / CURRENT).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return name if name.isalnum() else None


def _point(folder: Path, version: str) -> None:
    handle, part = tempfile.mkstemp(dir=folder, prefix=PART)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(version)
    os.replace(part, folder / CURRENT)


def _tidy(folder: Path) -> None:
    """Delete versions that nobody can be reading any more, and what was left by a process that died."""
    version = current(folder)
    others = [path.parent for path in folder.glob(f"*/{MANIFEST}")]
    others = [path for path in others if path.name.isalnum() and path.name != version]
    others.sort(key=lambda path: path.stat().st_mtime)
    for path in [*others[: max(0, len(others) - (KEPT - 1))], *folder.glob(f"{PART}*")]:
        shutil.rmtree(path, ignore_errors=True)
        if path.is_file():
            path.unlink(missing_ok=True)


def _teaches(sessions: Sessions, model: Recommender) -> bool:
    """Whether there is a click to learn from, of a known reader where the model learns readers."""
    if getattr(model, "by", "session") == "user":
        return sessions.users is not None and bool((sessions.users >= 0).any())
    return sessions.n_clicks > 0


def _history(log: pd.DataFrame) -> pd.DataFrame:
    columns = ["user_id", "item_id", "event", "timestamp"]
    known = log.reindex(columns=columns).dropna(subset=["user_id"]).sort_values("timestamp", kind="stable")
    if pd.api.types.is_numeric_dtype(known["user_id"]):  # with gaps they were floats, or a nullable type
        known = known.astype({"user_id": "int64"})
    return known.reset_index(drop=True)


def _checked(place: Path) -> dict:
    """The manifest of a version all of whose files are as they were written; raises OSError, ValueError or KeyError."""
    manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
    if _version(manifest) != place.name:
        raise ValueError(f"{MANIFEST} is not the file that was written")
    for name, digest in manifest["files"].items():
        if _digest(place / name) != digest:
            raise ValueError(f"{name} is not the file that was written")
    return manifest


def _whole(place: Path) -> bool:
    try:
        return bool(_checked(place))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _version(manifest: dict) -> str:
    """The name of a version: it depends on the classes and on every byte of the files, not on when it was made."""
    content = json.dumps([manifest["models"], manifest["files"]], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
