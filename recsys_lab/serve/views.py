"""What the templates are given: shelves of cards, the drawer, a reader's history. No HTTP in here."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

import pandas as pd

from recsys_lab.serve import reasons

FOR_YOU = 9  # one large card and eight small ones fill the grid at every width
SHELF = 6
RECENT = 12
EVENTS = 30  # of a visit, shown in the drawer
HISTORY = 40  # rows of a reader's history
EXAMPLES = 6  # readers to try
WITH_FOR_YOU = ("home", "search", "book", "basket", "missing")
WITH_RECENT = ("home", "book", "basket")


@dataclass(frozen=True)
class Visit:
    """Who is looking: the visit's id, and the reader it is signed in as, if any."""

    session_id: str
    reader: int | str | None = None


@dataclass(frozen=True)
class Card:
    """One book in a list. `nonce` makes a click on it one view, however often its page is loaded."""

    item: object
    nonce: str
    key: str
    reason: tuple[str, ...] = ()

    @property
    def href(self) -> str:
        """Where a click goes."""
        return f"/books/{self.item.item_id}?v={self.nonce}"


@dataclass(frozen=True)
class Shelf:
    """A list with its heading."""

    id: str
    title: str
    says: str = ""
    cards: list[Card] = field(default_factory=list)
    degraded: bool = False
    empty: str = "Nothing here yet."


class Views:
    """Builds what the templates show, from a `Shop`."""

    def __init__(self, shop):
        self.shop = shop

    # ---- cards ----------------------------------------------------------------------------------------------------

    def item(self, item_id):
        """Return a book of the catalogue, or None."""
        return self.shop.catalogue.get(item_id)

    def title(self, item_id) -> str | None:
        """Title of a book, or None where it is unknown."""
        item = self.item(item_id)
        return None if item is None else item.title

    def cards(self, shelf: str, items: Iterable, nonce: str | None = None) -> list[Card]:
        """Cards of catalogue items or of `Recommended`s; what the catalogue does not know is left out."""
        nonce, cards = nonce or secrets.token_urlsafe(6), []
        for entry in items:
            item = entry if hasattr(entry, "title") else self.item(entry.item_id)
            if item is not None:
                why = tuple(reasons.reason(entry, self.title)) if hasattr(entry, "source") else ()
                cards.append(Card(item, nonce, f"{shelf}-{item.item_id}", why))
        return cards

    def _shelf(self, name: str, title: str, says: str, answer, **more) -> Shelf:
        return Shelf(name, title, says, self.cards(name, answer.items), answer.degraded, **more)

    # ---- what every page shows --------------------------------------------------------------------------------------

    def common(self, visit: Visit, on: str) -> dict:
        """Return what a page, or a click on it, shows of the visit; `on` names the page."""
        session = self.shop.session(visit.session_id)
        answer = self.shop.recommend(visit.session_id, visit.reader, FOR_YOU)
        values = {
            "visit": visit,
            "basket": session.basket,
            "seen": self.seen(visit, session, answer),
            "for_you": self.for_you(answer, session, visit.reader) if on in WITH_FOR_YOU else None,
            "recent": self.recent(session) if on in WITH_RECENT else None,
            "because": self.because(visit, session) if on == "home" else None,
        }
        return values | (self.basket(session) if on == "basket" else {})

    def basket(self, session) -> dict:
        """Books in the basket, what they cost, and what goes with them."""
        lines = [item for item in map(self.item, session.basket) if item is not None]
        says = "Bought in one go with what is in your basket."
        addons = self.together(session.basket, "Goes well with it", says) if lines else None
        return {"lines": lines, "total": sum(item.price or 0 for item in lines), "addons": addons}

    # ---- lists ----------------------------------------------------------------------------------------------------

    def for_you(self, answer, session, reader=None) -> Shelf:
        """Return the list that moves with every click."""
        title, says = reasons.heading(answer, len(session.clicks), reader)
        return self._shelf("for-you", title, says, answer)

    def recent(self, session) -> Shelf:
        """Books looked at in this visit, newest first."""
        items = [item for item in map(self.item, session.viewed[:RECENT]) if item is not None]
        says = "Newest first." if items else ""
        empty = "Nothing yet. Open a book, and it will stand here."
        return Shelf("recent", "Recently viewed", says, self.cards("recent", items), empty=empty)

    def because(self, visit: Visit, session) -> Shelf | None:
        """Books that go with the one looked at last; None before there is one."""
        answer = self.shop.because(visit.session_id, SHELF)
        about = next((e.because for e in answer.items if e.because is not None), None)
        if not session.viewed or not answer.items or about is None or self.title(about) is None:
            return None
        title = f"Because you viewed “{self.title(about)}”"
        return self._shelf("because-shelf", title, answer.why, answer)

    def trending(self, k: int = 6) -> Shelf:
        """Most viewed of late."""
        answer = self.shop.trending(k)
        return self._shelf("trending", "Trending", answer.why, answer)

    def related(self, item) -> Shelf:
        """Books like one."""
        answer = self.shop.related(item.item_id, SHELF)
        empty = "No other book has been looked at together with this one."
        says = f"Looked at by the people who look at “{item.title}”."
        return self._shelf("related", "Related", says, answer, empty=empty)

    def together(self, item_ids, title: str, says: str) -> Shelf:
        """Books bought together with some."""
        return self._shelf("together", title, says, self.shop.bought_together(list(item_ids), SHELF))

    def popular(self) -> Shelf:
        """What is popular, for somebody of whom nothing is known."""
        answer = self.shop.recommend(secrets.token_hex(16), None, FOR_YOU)
        return self._shelf("popular", "Popular now", "What most people read.", answer)

    # ---- readers --------------------------------------------------------------------------------------------------

    def reader(self, card) -> dict:
        """Return what a reader's page shows."""
        answer = self.shop.recommend(secrets.token_hex(16), card.user_id, FOR_YOU)
        rows = [self._past(row) for row in card.history[:HISTORY]]
        rest = len(card.history) - len(rows)
        return {
            "user_id": card.user_id,
            "segment": {"number": card.segment, "genres": card.genres} if card.segment is not None else None,
            "would": self._shelf("would", "Would be recommended", answer.why, answer),
            "history": [row for row in rows if row["item"] is not None],
            "history_says": f"The newest {len(rows)} of {len(card.history)}." if rest > 0 else "Newest first.",
        }

    def _past(self, row) -> dict:
        """One row of a reader's history."""
        item_id, event, when = row
        words = {"word": reasons.WORDS.get(event, event), "item": self.item(item_id)}
        return words | {"iso": when.isoformat(), "date": f"{when:%d %b %Y}"}

    def example_readers(self) -> list:
        """Numbers of a few readers that are known, those who did most."""
        return self.shop.known_readers(EXAMPLES)

    # ---- the drawer -----------------------------------------------------------------------------------------------

    def seen(self, visit: Visit, session, answer) -> dict:
        """Return what the machine saw of this visit, and how it answered."""
        events = session.events[-EVENTS:]
        hidden = len(session.events) - len(events)
        most = max(answer.timings.values(), default=0.0) or 1.0
        timings = [
            {"name": reasons.model_name(name), "ms": ms, "share": round(100 * ms / most, 1)}
            for name, ms in answer.timings.items()
        ]
        timings.append({"name": "the whole list", "ms": answer.milliseconds, "share": 0})
        return {
            "events": [self._event(event) for event in events],
            "many": f"The newest {len(events)}; {hidden} more before them."
            if hidden
            else "In the order they happened.",
            "why": answer.why,
            "source": reasons.model_name(answer.source),
            "degraded": answer.degraded,
            "version": answer.version,
            "timings": timings,
            "visit": visit.session_id[:8] + "…",
            "reader": visit.reader,
        }

    def _event(self, event) -> dict:
        when = pd.Timestamp(event.timestamp, unit="ns", tz="UTC")
        title = self.title(event.item_id) or f"item {event.item_id}, which the shop does not know"
        word = reasons.WORDS.get(event.event, event.event)
        return {"iso": when.isoformat(), "clock": f"{when:%H:%M:%S}", "word": word, "title": title}
