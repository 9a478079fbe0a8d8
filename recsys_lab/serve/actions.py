"""What a visitor does in the shop, as events: each counted once, however often a page or a button repeats it."""

from __future__ import annotations

import hashlib

from recsys_lab.serve.memory import Event

_MOVES = ("cart", "remove", "purchase")


class Actions:
    """Records the events of visits.

    Parameters
    ----------
    shop : Shop
    """

    def __init__(self, shop):
        self.shop = shop

    def view(self, visit, item_id, nonce: str) -> bool:
        """Record that a book was looked at; the same nonce counts once in a visit.

        Returns
        -------
        bool
            Whether it was new.
        """
        event_id = _id(visit, item_id, "view", nonce)
        if any(event.event_id == event_id for event in self.shop.session(visit.session_id).events):
            return False
        return self._record(visit, [(item_id, "view", event_id)]) == ["stored"]

    def put(self, visit, item_id) -> bool:
        """Put a book into the basket, unless it is there or cannot be had."""
        session = self.shop.session(visit.session_id)
        if item_id in session.basket or not self.shop.catalogue.available(item_id):
            return False
        self._record(visit, [self._move(visit, session, item_id, "cart")])
        return True

    def take_out(self, visit, item_id) -> bool:
        """Take a book out of the basket, if it is there."""
        session = self.shop.session(visit.session_id)
        if item_id not in session.basket:
            return False
        self._record(visit, [self._move(visit, session, item_id, "remove")])
        return True

    def check_out(self, visit) -> tuple:
        """Buy what is in the basket.

        Returns
        -------
        tuple of item ids
            What was bought.
        """
        session = self.shop.session(visit.session_id)
        moves = [self._move(visit, session, item_id, "purchase") for item_id in session.basket]
        if moves:
            self._record(visit, moves)
        return session.basket

    def _move(self, visit, session, item_id, kind: str) -> tuple:
        """A change of the basket, with an id that follows from the change before: the same click twice is one."""
        before = [e.event_id for e in session.events if e.item_id == item_id and e.event in _MOVES]
        mark = before[-1] if before else session.events[0].event_id if session.events else ""
        return item_id, kind, _id(visit, item_id, kind, mark)

    def _record(self, visit, rows) -> list[str]:
        now = self.shop.clock()
        events = [Event(visit.session_id, item, kind, now, mark, visit.reader) for item, kind, mark in rows]
        return self.shop.record(events)


def _id(visit, item_id, kind: str, mark: str) -> str:
    text = "\n".join((visit.session_id, str(item_id), kind, mark))
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
