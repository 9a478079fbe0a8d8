"""Interactive parts of the labs: `session_explorer` replays one session, event by event.

What is seen is HTML made by `Replay`, with or without ipywidgets; the widgets only choose which event it is. Used is
what ipywidgets 7.7 and 8 share. Every text from a log is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from functools import cached_property

import numpy as np
import pandas as pd

from recsys_lab.serve import covers

WORDS = {
    "view": "looked at",
    "cart": "put into the cart",
    "remove": "taken out of the cart",
    "purchase": "bought",
    "return": "sent back",
}
MOST_EARLIER = 14  # covers in "the session so far"
MOST_IN_PLAIN = 12  # events a session in the plain form

_ROW = "display:flex;flex-wrap:wrap;gap:10px;list-style:none;margin:4px 0 0;padding:0"
_EDGE = "box-sizing:border-box;border-radius:6px;padding:4px;border:2px solid"


# ---- covers -------------------------------------------------------------------------------------------------------


def cover(title: str, author: str = "", genre: str = "") -> str:
    """Draw the cover of a book: always the same one for the same words.

    Parameters
    ----------
    title, author, genre : str
        The genre chooses colours and picture, and is written on the cover too.

    Returns
    -------
    str
        An ``<svg>`` with an aria-label, as wide as what it stands in and at most 96 pixels.

    Examples
    --------
    >>> "Emma" in cover("Emma", "Jane Austen", "classics")
    True
    """
    style = 'style="display:block;width:96px;max-width:100%;height:auto"'
    return covers.cover(title, author, genre).replace("<svg ", f"<svg {style} ", 1)


def _safe(text) -> str:
    return html.escape(str(text), quote=True)


# ---- one session --------------------------------------------------------------------------------------------------


class Replay:
    """One session, event by event.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        `events`, and where there are any `impressions` and `items`.
    session_id : int or str
    name : str
        What the session is called.
    """

    def __init__(self, tables: Mapping[str, pd.DataFrame], session_id, name: str = ""):
        events = _only(tables["events"], session_id)
        if events.empty:
            raise ValueError(f"session {session_id!r} has no events in this log.")
        keys = [key for key in ("timestamp", "order") if key in events]
        self.events = events.sort_values(keys, kind="stable") if keys else events  # rows may have arrived late
        self.session_id, self.name = session_id, name
        self._books = _books(tables.get("items"))
        self._lists = _lists(tables.get("impressions"), session_id)

    def __len__(self) -> int:
        return len(self.events)

    def html(self, step: int) -> str:
        """Return what is to be seen at event `step`, counted from 1."""
        row = self._rows[step - 1]
        parts = [self._head(step), self._page(row), self._shown(row), self._earlier(step)]
        label = _safe(f"Event {step} of {len(self)}")
        return f'<section aria-label="{label}" style="color:inherit;line-height:1.4">{"".join(parts)}</section>'

    @cached_property
    def _rows(self) -> list[dict]:
        return self.events.to_dict("records")

    def _head(self, step: int) -> str:
        row, parts = self._rows[step - 1], []
        if _known(row.get("timestamp")):
            parts.append(f"{row['timestamp']:%d %b %Y, %H:%M:%S}")
            if step > 1:
                pause = (row["timestamp"] - self._rows[step - 2]["timestamp"]).total_seconds()
                parts.append(f"{_duration(pause)} after the event before")
        if "user_id" in row:
            parts.append(f"visitor {row['user_id']}" if _known(row["user_id"]) else "visitor not signed in")
        about = _safe(" · ".join(parts))
        return f'<p style="margin:4px 0 8px"><strong>Event {step} of {len(self)}: {_word(row)}</strong><br>{about}</p>'

    def _page(self, row: dict) -> str:
        title, author, genre = self._book(row["item_id"])
        facts = [f"<strong>{_safe(title)}</strong>", _safe(author), _safe(genre)]
        if _known(row.get("dwell_s")):
            width = min(100, 100 * np.log1p(max(row["dwell_s"], 0)) / np.log1p(600))
            bar = f'<span aria-hidden="true" style="{_BAR};width:{width:.0f}px"></span>'
            facts.append(f"{bar}stayed {_duration(row['dwell_s'])} on the page")
        if _known(row.get("price")):
            facts.append(f"price {row['price']:.2f}")
        lines = "".join(f"<div>{fact}</div>" for fact in facts if fact)
        picture = f"<div>{cover(title, author, genre)}</div>"
        return f'<div style="display:flex;gap:14px;align-items:center">{picture}<div>{lines}</div></div>'

    def _shown(self, row: dict) -> str:
        if row["event"] in WORDS and row["event"] != "view":
            return ""
        found = self._list_before(row)
        if found is None:
            return '<p style="margin:10px 0 0">No list was shown before this event.</p>'
        taken = (found["item_id"] == row["item_id"]) & found["clicked"]
        how = "" if taken.any() else " This book was not clicked in it: the visitor searched, went back or had a link."
        random = " It was drawn at random." if "explored" in found and found["explored"].any() else ""
        tiles = "".join(self._tile(shown, row["item_id"]) for shown in found.to_dict("records"))
        text = f"<strong>The list shown last</strong>.{random}{how}"
        return f'<p style="margin:10px 0 0">{text}</p><ol style="{_ROW}">{tiles}</ol>'

    def _tile(self, shown: dict, item) -> str:
        now = shown["clicked"] and shown["item_id"] == item
        word = "clicked now" if now else "clicked too" if shown["clicked"] else "not clicked"
        edge = "currentColor" if now else "transparent"
        caption = f"{shown['position']} · " + (f"<strong>{word}</strong>" if shown["clicked"] else word)
        inside = f'{cover(*self._book(shown["item_id"]))}<div style="font-size:11px">{caption}</div>'
        return f'<li style="{_EDGE} {edge};width:108px;margin:0">{inside}</li>'

    def _earlier(self, step: int) -> str:
        rows = self._rows[:step]
        hidden = max(0, step - MOST_EARLIER)
        small = "width:58px;margin:0;font-size:11px;line-height:1.2"
        tiles = "".join(
            f'<li style="{small}">{cover(*self._book(row["item_id"]))}{_word(row)}</li>' for row in rows[hidden:]
        )
        more = f" (the {MOST_EARLIER} latest; {hidden} more before them)" if hidden else ""
        books = len({row["item_id"] for row in rows})
        text = f"<strong>The session so far</strong>{more}: {_plural(step, 'event')}, {_plural(books, 'book')}"
        return f'<p style="margin:12px 0 0">{text}</p><ol style="{_ROW}">{tiles}</ol>'

    def _book(self, item) -> tuple[str, str, str]:
        return self._books.get(item, (f"item {item}", "", ""))

    def _list_before(self, row: dict) -> pd.DataFrame | None:
        """The list shown last before an event; in a log without times, the one that the event clicked in."""
        found = None
        for shown in self._lists:
            if "timestamp" in shown and _known(row.get("timestamp")):
                if (shown["timestamp"] <= row["timestamp"]).all():
                    found = shown
            elif ((shown["item_id"] == row["item_id"]) & shown["clicked"]).any():
                return shown
        return found


_BAR = "display:inline-block;height:.7em;margin-right:6px;background:currentColor;opacity:.55"


def _only(table: pd.DataFrame, session_id) -> pd.DataFrame:
    return table[table["session_id"] == session_id]


def _books(items: pd.DataFrame | None) -> dict:
    """Title, author and genre of each item, as far as they are known."""
    if items is None or "item_id" not in items:
        return {}
    empty = pd.Series("", index=items.index)
    columns = [items.get(name, empty).fillna("").astype(str) for name in ("title", "author", "genre")]
    return dict(zip(items["item_id"], zip(*columns, strict=True), strict=True))


def _lists(impressions: pd.DataFrame | None, session_id) -> list[pd.DataFrame]:
    """The lists that a session was shown, in time order."""
    if impressions is None or "session_id" not in impressions:
        return []
    rows = _only(impressions, session_id)
    keys = [key for key in ("timestamp", "request_id", "position") if key in rows]
    return [shown for _, shown in rows.sort_values(keys, kind="stable").groupby("request_id", sort=False)]


def _word(row: dict) -> str:
    return _safe(WORDS.get(row["event"], row["event"]))


def _known(value) -> bool:
    return value is not None and not pd.isna(value)


def _plural(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    """Return seconds as people say them."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


# ---- choosing sessions --------------------------------------------------------------------------------------------


def interesting(events: pd.DataFrame, impressions: pd.DataFrame | None = None) -> dict[str, int]:
    """Return a few sessions worth seeing, by name; what a log has none of is left out.

    Parameters
    ----------
    events : DataFrame
        An event log.
    impressions : DataFrame, optional
        What was shown: then purchases and returns are taken from sessions with three clicks in lists.

    Returns
    -------
    dict of str to session id
    """
    facts = events.groupby("session_id").agg(n=("item_id", "size"), books=("item_id", "nunique")).sort_index()
    facts["gap"] = np.inf
    if "timestamp" in events:
        ordered = events.sort_values(["session_id", "timestamp"], kind="stable")
        gaps = ordered.groupby("session_id")["timestamp"].diff().dt.total_seconds()
        facts["gap"] = gaps.groupby(ordered["session_id"]).median().fillna(np.inf)
    bot = (facts["n"] >= 50) & (facts["gap"] <= 2)
    people = facts[~bot]
    short = people[(people["n"] <= 12) & (people["books"] >= 3)]
    if impressions is not None and "session_id" in impressions:
        in_lists = impressions.loc[impressions["clicked"], "session_id"].value_counts()
        short = short[short.index.isin(in_lists.index[in_lists >= 3])]
    bought, sent_back = (set(events.loc[events["event"] == word, "session_id"]) for word in ("purchase", "return"))
    wanted = {
        "with a purchase": short[short.index.isin(bought - sent_back)],
        "with a return": short[short.index.isin(sent_back)],
        "a long one": people.sort_values("n", ascending=False, kind="stable"),
        "a single click": people[people["n"] == 1],
        "a bot": facts[bot],
    }
    return {name: found.index[0] for name, found in wanted.items() if len(found)}


# ---- the explorer -------------------------------------------------------------------------------------------------


def session_explorer(log, sessions: Mapping[str, int] | None = None):
    """Replay sessions, event by event: choose one, then go on with Next, Previous or the slider.

    Parameters
    ----------
    log : Dataset or mapping of str to DataFrame
        With a table `events`; `impressions` and `items` are shown where there are any.
    sessions : mapping of str to session id, optional
        Names and ids of the sessions to choose from; by default `interesting` ones.

    Returns
    -------
    ipywidgets.VBox or Plain
        `Plain`, which needs no widgets, where ipywidgets is missing.
    """
    tables = getattr(log, "tables", log)
    chosen = interesting(tables["events"], tables.get("impressions")) if sessions is None else dict(sessions)
    if not chosen:
        raise ValueError("there is no session to show: give some, sessions={'mine': 17}.")
    replays = [Replay(tables, session_id, name) for name, session_id in chosen.items()]
    try:
        import ipywidgets
    except ImportError:
        return Plain(replays)
    return _explorer(ipywidgets, replays)


def _explorer(ipywidgets, replays: list[Replay]):
    layout = ipywidgets.Layout
    options = [(f"{r.name} (session {r.session_id}, {_plural(len(r), 'event')})", i) for i, r in enumerate(replays)]
    chooser = ipywidgets.Dropdown(options=options, value=0, description="Session:", layout=layout(width="420px"))
    slider = ipywidgets.IntSlider(value=1, min=1, max=2, description="Event:", layout=layout(width="420px"))
    before, after = (ipywidgets.Button(description=word) for word in ("Previous", "Next"))
    page = ipywidgets.HTML(layout=layout(min_height="520px"))  # so that what is below stays

    def show(_=None):
        replay = replays[chooser.value]
        step = min(slider.value, len(replay))
        before.disabled, after.disabled = step == 1, step == len(replay)
        page.value = replay.html(step)

    def begin(_=None):
        n = len(replays[chooser.value])
        slider.value = 1
        slider.max = max(n, 2)  # a slider from 1 to 1 breaks in the browser
        slider.disabled = n == 1
        show()

    def move(by):
        slider.value = slider.value + by  # a slider keeps within its limits by itself

    chooser.observe(begin, "value")
    slider.observe(show, "value")
    before.on_click(lambda _: move(-1))
    after.on_click(lambda _: move(1))
    begin()
    return ipywidgets.VBox([chooser, ipywidgets.HBox([before, after, slider]), page])


class Plain:
    """The same without widgets: one fold for each session, its first events one below the other."""

    def __init__(self, replays: list[Replay]):
        self.replays = replays

    def __repr__(self) -> str:
        lines = [f"{r.name} (session {r.session_id}): {_plural(len(r), 'event')}" for r in self.replays]
        return "\n".join(["Sessions (install ipywidgets to replay them):", *lines])

    def _repr_html_(self) -> str:
        return "".join(map(self._fold, self.replays))

    def _fold(self, replay: Replay) -> str:
        n = min(len(replay), MOST_IN_PLAIN)
        steps = '<hr style="opacity:.4">'.join(replay.html(step) for step in range(1, n + 1))
        more = f"<p>… and {len(replay) - n} more.</p>" if len(replay) > n else ""
        name = _safe(f"{replay.name} (session {replay.session_id}, {_plural(len(replay), 'event')})")
        return f"<details><summary>{name}</summary>{steps}{more}</details>"
