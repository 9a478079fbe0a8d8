"""Session memories that forget, double or mix up clicks, to be caught by a test: small exhibits for lab 07.

What a model is trained on and what it is asked about later have to be made alike (Sculley and others, "Hidden technical
debt in machine learning systems", NIPS 2015; Breck and others, "Data validation for machine learning", MLSys 2019, call
the difference *training-serving skew*). `Batch` is what the training makes of a log. `Store` keeps the same rules one
event at a time; its subclasses are sound too, in another way, or have one mistake each.

An event is a tuple ``(session, item, time, event_id)``; a session's clicks are its items, oldest first:

- sorted by time; of equal times, in the order of arrival,
- within a session an event id counts once, an item as often as it was clicked,
- no more than the newest `LIMIT` clicks, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

LIMIT = 5  # clicks that a session shows


def in_order(events: Iterable[tuple]) -> list[tuple]:
    """Return events by time; Python's sort is stable, so that equal times keep the order of arrival."""
    return sorted(events, key=lambda event: event[2])


def once(events: Iterable[tuple]) -> list[tuple]:
    """Return each event id's first event."""
    first: dict = {}
    for event in events:
        first.setdefault(event[3], event)
    return list(first.values())


class Batch:
    """What the training pipeline makes of a log: ``batch(events, session)`` is the list of a session's clicks."""

    def __call__(self, events: Iterable[tuple], session) -> list:
        """Return the items that a session clicked, oldest first; an unknown session has none."""
        return [event[1] for event in in_order(once(e for e in events if e[0] == session))][-LIMIT:]

    def __eq__(self, other) -> bool:
        return type(self) is type(other)

    __hash__ = None

    def __repr__(self) -> str:
        return "<batch>"


class Maker:
    """``make_store()``: an empty store of one kind."""

    def __init__(self, kind: type[Store]):
        self.kind = kind

    def __call__(self) -> Store:
        """Return an empty store."""
        return self.kind()

    def __eq__(self, other) -> bool:
        return type(self) is type(other) and self.kind is other.kind

    __hash__ = None

    def __repr__(self) -> str:
        return f"<make_store: {self.kind.about}>"


# ---- sound ------------------------------------------------------------------------------------------------------


class Store:
    """Keeps every event, and puts things right when it is asked."""

    about = "sound"
    sound = True

    def __init__(self):
        self.events: list[tuple] = []

    def append(self, event: tuple) -> None:
        """Take an event ``(session, item, time, event_id)``."""
        self.events.append(event)

    def clicks(self, session) -> list:
        """Return the items that a session clicked, oldest first."""
        return [event[1] for event in self.cut(in_order(once(self.of(session))))]

    def of(self, session) -> list[tuple]:
        """Events of a session, in the order of arrival."""
        return [event for event in self.events if event[0] == session]

    def cut(self, events: list) -> list:
        """The newest ones."""
        return events[-LIMIT:]


class InTuples(Store):
    """Sound too: a tuple instead of a list."""

    about = "sound, answers with tuples"

    def clicks(self, session) -> tuple:
        """Return the items that a session clicked, oldest first."""
        return tuple(super().clicks(session))


class Tidy(Store):
    """Sound too: throws away at once what nobody will ask for again, but remembers all event ids."""

    about = "sound, keeps five events a session and no more"

    def __init__(self):
        self.kept: dict = {}
        self.known: set = set()

    def append(self, event: tuple) -> None:
        """Take an event, and forget the oldest where there are too many."""
        if (event[0], event[3]) not in self.known:
            self.known.add((event[0], event[3]))
            self.kept[event[0]] = self.cut(in_order([*self.kept.get(event[0], ()), event]))

    def of(self, session) -> list[tuple]:
        """The newest events of a session."""
        return self.kept.get(session, [])


# ---- with one mistake each ----------------------------------------------------------------------------------------


class Broken(Store):
    """Base of the stores with a mistake."""

    sound = False


class ByArrival(Broken):
    """Nobody sorts: a click that arrives late stands at the end."""

    about = "in the order of arrival"

    def clicks(self, session) -> list:
        """Return clicks as they came in."""
        return [event[1] for event in self.cut(once(self.of(session)))]


class NewestFirst(Broken):
    """The newest click comes first, as on a page "recently viewed"."""

    about = "newest click first"

    def clicks(self, session) -> list:
        """Return clicks in reverse."""
        return super().clicks(session)[::-1]


class OldestKept(Broken):
    """Cut at the wrong end: after five clicks, nothing that a visitor does is seen any more."""

    about = "keeps the oldest five"

    def cut(self, events: list) -> list:
        """The oldest ones."""
        return events[:LIMIT]


class Padded(Broken):
    """Filled up with item 0 to five places, as a training batch might be."""

    about = "fills up with item 0"

    def clicks(self, session) -> list:
        """Return five clicks, whether there were five or not."""
        clicks = super().clicks(session)
        return [0] * (LIMIT - len(clicks)) + clicks


class CountsTwice(Broken):
    """A phone that got no answer sends the event again, and the click counts twice."""

    about = "an event that is sent twice counts twice"

    def clicks(self, session) -> list:
        """Return clicks of all events, also of those that came again."""
        return [event[1] for event in self.cut(in_order(self.of(session)))]


class ItemsOnce(Broken):
    """Somebody wanted no duplicates, and took away second looks."""

    about = "an item that is clicked twice counts once"

    def clicks(self, session) -> list:
        """Return each item once."""
        return self.cut(list(dict.fromkeys(event[1] for event in in_order(once(self.of(session))))))


class Mixed(Broken):
    """Events are written in pairs, each pair into the session of its first."""

    about = "two events that arrive together go into one session"

    def of(self, session) -> list[tuple]:
        """Events whose pair belongs to the session."""
        return [e for i, e in enumerate(self.events) if self.events[i - i % 2][0] == session]


class CutBeforeSorted(Broken):
    """The five that arrived last, sorted: a click that comes late pushes a newer one out."""

    about = "cuts before it sorts"

    def clicks(self, session) -> list:
        """Return the five that arrived last, in the order of time."""
        return [event[1] for event in in_order(self.cut(once(self.of(session))))]


class CutBeforeOnce(Broken):
    """The newest five, and only then without what was sent twice: fewer are left than there should be."""

    about = "cuts before it drops what was sent twice"

    def clicks(self, session) -> list:
        """Return what is left of the newest five."""
        return [event[1] for event in once(self.cut(in_order(self.of(session))))]


class TiesByItem(Broken):
    """Sorted by time and item: clicks within one second change places."""

    about = "sorts equal times by item"

    def clicks(self, session) -> list:
        """Return clicks by time, then by item."""
        events = sorted(once(self.of(session)), key=lambda event: (event[2], event[1]))
        return [event[1] for event in self.cut(events)]


class FourKept(Broken):
    """One too few."""

    about = "keeps four clicks"

    def cut(self, events: list) -> list:
        """The newest ones but one."""
        return events[-(LIMIT - 1) :]


class TooLittle(Broken):
    """Only the beginning of what it should give."""

    about = "gives the first two clicks only"

    def clicks(self, session) -> list:
        """Return two clicks at most."""
        return super().clicks(session)[:2]


class NeverCut(Broken):
    """All clicks of a session, however long it is."""

    about = "never cuts"

    def cut(self, events: list) -> list:
        """All of them."""
        return events


class FirstAnswer(Broken):
    """A cache that nobody empties: what it answered first, it answers for ever."""

    about = "remembers its first answer"

    def __init__(self):
        super().__init__()
        self.answers: dict = {}

    def clicks(self, session) -> list:
        """Return what was returned before."""
        if session not in self.answers and self.of(session):
            self.answers[session] = super().clicks(session)
        return self.answers.get(session, [])


class ReadOnce(Broken):
    """A queue: what was read is gone."""

    about = "forgets what it was asked for"

    def clicks(self, session) -> list:
        """Return the clicks, and forget them."""
        found = super().clicks(session)
        self.events = [event for event in self.events if event[0] != session]
        return found


class KnowsTheLastOnly(Broken):
    """Takes an event for a repeat only if it follows its first copy at once."""

    about = "compares a repeat with the event before it only"

    def append(self, event: tuple) -> None:
        """Take an event, unless it is the last one again."""
        if not self.events or self.events[-1] != event:
            self.events.append(event)

    def clicks(self, session) -> list:
        """Return clicks of all that was taken."""
        return [event[1] for event in self.cut(in_order(self.of(session)))]


SOUND = (Store, InTuples, Tidy)
BROKEN = (ByArrival, NewestFirst, OldestKept, Padded, CountsTwice, ItemsOnce, Mixed)
SUBTLE = (CutBeforeSorted, CutBeforeOnce, TiesByItem, FourKept)
#: What a careless way of asking or comparing lets through.
SLY = (TooLittle, NeverCut, FirstAnswer, ReadOnce, KnowsTheLastOnly)
