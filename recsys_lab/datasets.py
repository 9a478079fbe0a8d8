"""Logs by name: what each one is, on which terms it comes, what it holds, and what it cannot answer.

Start with ``shop = load("bookshop")``, then look at ``shop``, ``shop.events``, ``shop.items``, ``shop.sessions()``.

`bookshop` is shipped with the course. The real logs are looked for in the folder that RECSYS_LAB_DATA names, then in
the user's cache, then at a public address; their terms differ, and most of them may not be passed on (`available`).
A log that lacks what is asked of it says so, and why: a conversion rate taken from a table of buyers is a number, and
it is wrong.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import pandas as pd

from recsys_lab import logs
from recsys_lab.events import EVENT_TYPES
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.registry import Entry, obtain, registry, where

# what can be asked of a log, in the words of `Dataset.require`
NEEDS = {
    "events": "what visitors did, one row an event",
    "sessions": "which events belong to one visit",
    "order": "what came first",
    "timestamps": "when it happened",
    "users": "who it was, from one visit to the next",
    "repeats": "how often somebody came back to the same item",
    "rates": "shares of all visitors, such as conversion rates",
    "ratings": "stars that people gave",
    "impressions": "what was shown",
    "propensities": "how likely the shop was to show it",
    "titles": "what the items are",
}
IMPLIED = {"sessions": "events", "repeats": "events", "timestamps": "order", "propensities": "impressions"}


def load(name: str, *, download: bool = True, progress: bool | None = None) -> Dataset:
    """Return a log by name.

    Parameters
    ----------
    name : str
        One of `available().name`; or ``poll:FILE`` for the answers of a live poll (``recsys-lab poll``), and
        ``poll:sample`` for the simulated class that stands in for a room.
    download : bool
        Whether a log that is not on this machine may be fetched from its public address.
    progress : bool, optional
        Draw a bar while downloading; by default on a terminal and in a notebook.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        For an unknown name; the message has the nearest ones. For a file that is no poll, or holds no answers;
        the message says what to do.
    DataFileError
        If the files are nowhere, or not the known ones. `DownloadError`, a kind of it, if a download failed.
    """
    if str(name).startswith("poll:"):
        return _poll(name)
    entry = registry(name)
    if name == "bookshop":
        from recsys_lab import bookshop

        return Dataset(entry, bookshop.load(), lacks=entry.lacks)
    paths, from_source = obtain(entry, download, progress)
    contents = logs.read(name, paths, from_source)
    report = pd.DataFrame(contents.steps, columns=list(logs.REPORT_COLUMNS))
    other = from_source and entry.lacks_from_source is not None
    lacks = entry.lacks_from_source if other else entry.lacks
    return Dataset(entry, contents.tables, contents.parts, contents.event_types, report, lacks)


def _poll(name: str) -> Dataset:
    """Return the answers of a live poll as a log; `name` is ``poll:FILE`` or ``poll:sample``."""
    from recsys_lab import bookshop, poll_answers

    file = name.removeprefix("poll:")
    events = poll_answers.sample_class() if file == "sample" else poll_answers.read_poll(file)
    simulated = events.attrs.get("simulated", False)
    who = "SIMULATED people" if simulated else "people in a room"
    entry = Entry(
        name=name,
        title=f"live poll: which books {events['session_id'].nunique()} {who} picked",
        licence="MIT, with the course" if simulated else "the room's own",
        shippable=simulated,
        citation="the recsys-lab contributors: recsys_lab.bookshop" if simulated else "a poll of your own",
        homepage="",
        rows=len(events),
        simulated=simulated,
        notes=["A session is a person. A pick is written as `view`, the word that all labs read."],
    )
    return Dataset(entry, {"events": events, "items": bookshop.load()["items"]}, lacks=_POLL_LACKS)


#: Why a poll cannot answer some questions.
_POLL_LACKS = {
    "timestamps": "only the order of the picks is kept, so that nobody is found by the time.",
    "users": "a person answers once; nothing tells who it was.",
    "repeats": "a person picks a book once.",
    "rates": "people say what they love; nobody counted what they saw.",
    "ratings": "people pick; nobody gives stars.",
    "impressions": "what the search showed was not kept.",
}


def available() -> pd.DataFrame:
    """Return what there is, without opening any of it.

    Returns
    -------
    DataFrame
        `name, title, rows, licence, shippable` (may it be passed on?) and `found`: "shipped", "folder" (the one that
        RECSYS_LAB_DATA names), "cache", "can be downloaded" or "by hand".
    """
    columns = ["name", "title", "rows", "licence", "shippable"]
    rows = [[getattr(entry, column) for column in columns] + [where(entry)] for entry in registry().values()]
    return pd.DataFrame(rows, columns=[*columns, "found"]).astype({"rows": "Int64"})


class UnsupportedError(ValueError):
    """A log cannot answer what was asked of it: says why, and what to do instead."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """A log: its tables, and what may be asked of them.

    Attributes
    ----------
    entry : Entry
        Title, licence, citation and the like; `name`, `title`, `licence`, `citation`, `homepage` and
        `simulated` are short for it.
    tables : dict of str to DataFrame
        What the log has, of `events`, `ratings`, `pairs`, `impressions`, `items`, `users` and further tables. The
        first six can also be had as attributes.
    parts : dict of str to DataFrame
        Parts that were published with it; `train`, `test` and `validation` can also be had as attributes.
    event_types : tuple of str
        The words of `events.event`.
    report : DataFrame
        Every cleaning step: `table, step, rows_before, rows_removed, rows_after, why`.
    lacks : dict of str to str
        What it cannot answer (`NEEDS`), and why.

    Examples
    --------
    >>> log = pd.DataFrame({"session_id": [1, 1], "item_id": [7, 8], "event": "view", "order": [0, 1]})
    >>> tiny = Dataset(registry("diginetica"), {"events": log}, lacks={"timestamps": "only the order was kept."})
    >>> tiny.sessions()
    Sessions(1 sessions, 2 clicks, 2 items, no times)
    >>> tiny.require("timestamps")
    Traceback (most recent call last):
    recsys_lab.datasets.UnsupportedError: diginetica has no timestamps (when it happened): only the order was kept.
    Instead: ...
    """

    entry: Entry
    tables: Mapping[str, pd.DataFrame]
    parts: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    event_types: tuple[str, ...] = EVENT_TYPES
    report: pd.DataFrame = field(default_factory=partial(pd.DataFrame, columns=list(logs.REPORT_COLUMNS)))
    lacks: Mapping[str, str] = field(default_factory=dict)

    name = property(lambda self: self.entry.name)
    title = property(lambda self: self.entry.title)
    licence = property(lambda self: self.entry.licence)
    citation = property(lambda self: self.entry.citation)
    homepage = property(lambda self: self.entry.homepage)
    simulated = property(lambda self: self.entry.simulated)
    events = property(lambda self: self._table("events"))
    ratings = property(lambda self: self._table("ratings"))
    pairs = property(lambda self: self._table("pairs"))
    impressions = property(lambda self: self._table("impressions"))
    items = property(lambda self: self._table("items"))
    users = property(lambda self: self._table("users"))
    train = property(lambda self: self.part("train"))
    test = property(lambda self: self.part("test"))
    validation = property(lambda self: self.part("validation"))

    def require(self, *needs: str) -> None:
        """Raise `UnsupportedError` unless the log can answer all of these (see `NEEDS`)."""
        for need in needs:
            if need not in NEEDS:
                raise ValueError(f"require({need!r}): choose from {', '.join(NEEDS)}.")
            reason = _lack(self.lacks, need)
            if reason is not None:
                others = [e.name for e in registry().values() if _lack(e.lacks, need) is None]
                raise UnsupportedError(
                    f"{self.name} has no {need} ({NEEDS[need]}): {reason}\n"
                    f"Instead: use a log that has them: {', '.join(o for o in others if o != self.name)}."
                )

    def part(self, name: str) -> pd.DataFrame:
        """Return one of the parts published with the log."""
        if name in self.parts:
            return self.parts[name]
        have = f"its parts are {', '.join(self.parts)}" if self.parts else "it was published in one piece"
        raise UnsupportedError(f"{self.name} has no part {name!r}: {have}.\nInstead: cut one with recsys_lab.split.")

    def sessions(
        self, part: str | None = None, vocabulary: Vocabulary | None = None, events: Sequence[str] | None = None
    ) -> Sessions:
        """Return the sessions of the log, or of one part, as models and evaluation read them.

        Parameters
        ----------
        part : str, optional
            One of `parts`; the whole log by default.
        vocabulary : Vocabulary, optional
            Encode items with this one, for a test part that of the train part.
        events : sequence of str, optional
            Keep only these event types.

        Returns
        -------
        Sessions

        Raises
        ------
        UnsupportedError
            If the log or the part has no sessions.
        """
        self.require("sessions")
        frame = self.events if part is None else self.part(part)
        if "session_id" not in frame:
            raise UnsupportedError(
                f"part {part!r} of {self.name} has only {', '.join(frame.columns)}: no sessions, and no times to cut "
                "some.\nInstead: recsys_lab.split.by_time(dataset.sessions())."
            )
        found = Sessions.from_frame(frame, vocabulary, event_types=self.event_types, validate=False)
        return found if events is None else found.only(*events)

    def _table(self, name: str) -> pd.DataFrame:
        if name in self.tables:
            return self.tables[name]
        if name in self.lacks:
            self.require(name)
        raise UnsupportedError(
            f"{self.name} has no table {name!r}.\nInstead: it has {', '.join(self.tables)}; see available()."
        )

    def _facts(self) -> list[tuple[str, str]]:
        rows = [(name, f"{len(t):,} rows: {_columns(t)}") for name, t in self.tables.items()]
        if self.parts:
            rows.append(("parts", ", ".join(f"{name} ({len(t):,})" for name, t in self.parts.items())))
        if "events" in self.tables:
            rows.append(("event types", ", ".join(self.event_types)))
        if len(self.report):
            rows.append(("report", f"{len(self.report)} steps, {self.report.rows_removed.sum():,} rows removed"))
        lacks = [need for need in NEEDS if _lack(self.lacks, need) is not None]
        rows += [("lacks", ", ".join(lacks))] if lacks else []
        rows += [("note", note) for note in self.entry.notes]
        rights = f"{self.licence} ({'may' if self.entry.shippable else 'may not'} be passed on)"
        return [*rows, ("licence", rights), ("cite", self.citation)]

    def __repr__(self) -> str:
        return f"{self.name}: {self.title}\n" + "\n".join(f"  {k:<12} {v}" for k, v in self._facts())

    def _repr_html_(self) -> str:
        cells = ((html.escape(k), html.escape(v)) for k, v in self._facts())
        rows = "".join(
            f"<tr><th style='text-align:left'>{k}</th><td style='text-align:left'>{v}</td></tr>" for k, v in cells
        )
        return f"<p><b>{html.escape(self.name)}</b>: {html.escape(self.title)}</p><table>{rows}</table>"


def _lack(lacks: Mapping[str, str], need: str) -> str | None:
    """Why a log lacks this, None where it has it."""
    return lacks.get(need, lacks.get(IMPLIED.get(need, "")))


def _columns(table: pd.DataFrame, most: int = 9) -> str:
    names = [str(c) for c in table.columns]
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
