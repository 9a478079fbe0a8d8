"""The shop without HTTP: session memory and retriever together. Service, pages and notebook ask here, nowhere else.

What a store or a model does wrong never breaks a page: a list then says that it is popular (`degraded`). What cannot be
stored is not acknowledged: `record` raises.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from recsys_lab.serve.bundle import Bundle, current
from recsys_lab.serve.memory import DAY, Event, Session, SessionStore, StoreError
from recsys_lab.serve.retriever import Answer, Recommended, Retriever, UserCard

log = logging.getLogger(__name__)
TRENDING_NS = DAY
CHEAP_S, MOST_WORK = 0.025, 0.05  # counting what is trending reads a day of views: where it is slow, seldom


class Shop:
    """A shop that remembers and recommends.

    Parameters
    ----------
    bundle : Bundle
    store : SessionStore
    clock : callable
        Nanoseconds since 1970 (UTC).
    folder : path, optional
        Where the bundle came from: `reload_if_new` looks there for a newer version.
    options
        Of `Retriever`.
    """

    def __init__(self, bundle: Bundle, store: SessionStore, clock: Callable[[], int] = time.time_ns,
                 folder: str | Path | None = None, **options):  # fmt: skip
        self.store, self.clock, self.folder, self._options = store, clock, folder, options
        self.retriever = Retriever(bundle, **options)
        self._reloading = threading.Lock()
        self._counted: dict[int, tuple[float, list]] = {}  # k: until when it will do, and what is trending

    @property
    def catalogue(self):
        """The catalogue in use."""
        return self.retriever.catalogue

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.retriever.version

    # ---- what visitors do -----------------------------------------------------------------------------------------

    def record(self, events: Sequence[Event]) -> list[str]:
        """Store events.

        Parameters
        ----------
        events : sequence of Event
            With ``timestamp=None`` it happens now; sent again under its id it is the same event, although it is later.

        Returns
        -------
        list of str
            Outcomes of `SessionStore.append`; in place of "stored" stands "unknown_item" where the catalogue has no
            such item: the event is in the log, and models leave it out.

        Raises
        ------
        ValueError
            If a field cannot be stored; nothing is stored then.
        StoreError
            If the store is out of order: nothing was acknowledged.
        """
        now = self.clock()
        timed = [event if event.timestamp is not None else replace(event, timestamp=now) for event in events]
        outcomes = self.store.append(timed, now=now)
        for n, (event, outcome) in enumerate(zip(events, outcomes, strict=True)):
            if outcome == "stored" and event.item_id not in self.catalogue:
                outcomes[n] = "unknown_item"
            elif outcome == "conflict" and event.timestamp is None and self._known_since(event):
                outcomes[n] = "duplicate"
        return outcomes

    def _known_since(self, event: Event) -> bool:
        """Whether the visit holds an event that differs in its time only."""
        session = self.store.session(event.session_id)
        known = {e.event_id: e for e in (*session.events, *(session.views or ()), *(session.changes or ()))}
        before = known.get(event.event_id)
        return before is not None and replace(before, timestamp=None) == event

    def session(self, session_id: str) -> Session:
        """Return what is remembered of a visit; nothing where the store cannot answer."""
        return self._remembered(session_id)[0]

    def forget(self, session_id: str) -> int:
        """Delete all of a visit; returns how many events there were."""
        return self.store.forget(session_id)

    # ---- lists ----------------------------------------------------------------------------------------------------

    def recommend(self, session_id: str, user_id=None, k: int = 10) -> Answer:
        """The list for a visit: the one `recommend` behind the web service, the pages and the notebook's panel.

        Parameters
        ----------
        session_id : str
        user_id : optional
            By default the one that the visit's events name.
        k : int
        """
        session, ok = self._remembered(session_id)
        user_id = session.user_id if user_id is None else user_id
        has = {*session.basket, *session.bought}
        answer = self.retriever.recommend(self._sold(session.clicks), k, user_id, exclude=has)
        if ok:
            return answer
        return replace(answer, degraded=True, why=f"The session memory does not answer. {answer.why}")

    def trending(self, k: int = 10) -> Answer:
        """What this shop's visitors looked at most in the last day; filled up with what is popular."""
        start = time.perf_counter()
        retriever = self.retriever
        try:
            counted, degraded = self._trending(4 * k), False
        except StoreError as error:
            log.warning("trending: %s", error)
            counted, degraded = [], True
        live = [Recommended(item, "trending", float(n)) for item, n in counted if self.catalogue.available(item)][:k]
        rest = retriever.popular(k - len(live), exclude=[row.item_id for row in live]).items if len(live) < k else ()
        why = "Looked at most in the last day." if live else "Nobody was here in the last day: what most people read."
        why += " Then what most people read." if live and rest else ""
        spent = 1000 * (time.perf_counter() - start)
        return Answer((*live, *rest), "trending" if live else "popular", degraded, why, spent, {}, retriever.version)

    def _trending(self, k: int) -> list[tuple]:
        """Items and their views: counted at every call while that is quick, else in a small share of the time."""
        start = time.perf_counter()
        until, counted = self._counted.get(k, (0.0, []))
        if start >= until:
            counted = self.store.trending(self.clock() - TRENDING_NS, k)
            end = time.perf_counter()
            if end - start > CHEAP_S:
                self._counted[k] = (end + (end - start) / MOST_WORK, counted)
        return counted

    def because(self, session_id: str, k: int = 6) -> Answer:
        """Books that go with the one that the visit looked at last, without those it has seen."""
        session = self.session(session_id)
        viewed = self._sold(session.viewed)
        if not viewed:
            return Answer(version=self.version, why="Nothing was looked at yet.")
        answer = self.retriever.related(viewed[0], k + len(viewed))
        gone = {*viewed, *session.basket, *session.bought}
        return replace(answer, items=tuple(row for row in answer.items if row.item_id not in gone)[:k])

    def related(self, item_id, k: int = 6) -> Answer:
        """Items like one."""
        return self.retriever.related(item_id, k)

    def bought_together(self, item_ids: Sequence, k: int = 6) -> Answer:
        """Items that go with a basket."""
        return self.retriever.bought_together(self._sold(item_ids), k)

    def search(self, q: str, limit: int = 10) -> list:
        """Find items by words."""
        return self.catalogue.search(q, limit)

    def user(self, user_id) -> UserCard | None:
        """What is known of a reader: the log that the models learned from, and what they did here since."""
        card = self.retriever.user(user_id)
        try:
            live = self.store.user_events(user_id)
        except (StoreError, ValueError) as error:
            log.warning("reader %s: %s", user_id, error)
            live = ()
        if not live:
            return card
        new = tuple((e.item_id, e.event, pd.Timestamp(e.timestamp, unit="ns", tz="UTC")) for e in reversed(live))
        card = card or UserCard(user_id, ())
        return replace(card, history=new + card.history)

    def known_readers(self, n: int = 6) -> list:
        """Ids of readers of whom the log knows most."""
        return self.retriever.bundle.history["user_id"].value_counts(sort=True).index[:n].tolist()

    # ---- running --------------------------------------------------------------------------------------------------

    def ready(self) -> None:
        """Return if the store takes events and the models answer; raises StoreError or RuntimeError otherwise."""
        self.store.ready()
        answer = self.retriever.recommend(self.catalogue.ids[:1], 1)
        if answer.degraded:
            raise RuntimeError("a model is missing, fails or is too slow: lists are popular ones. The log says which.")

    def reload_if_new(self) -> bool:
        """Take over a newer bundle, if there is one: it is loaded beside the old one, and one reference changes.

        A bundle that cannot be loaded is reported in the log, and the old one stays.
        """
        if self.folder is None or current(self.folder) in (None, self.version):
            return False
        if not self._reloading.acquire(blocking=False):
            return False
        try:
            fresh = Retriever(Bundle.load(self.folder), **self._options)
            for item_id in self.catalogue.gone:
                if item_id in fresh.catalogue:
                    fresh.catalogue.set_available(item_id, False)
            fresh.recommend(fresh.catalogue.ids[:1], 1)  # the first answer is the slow one: nobody has to wait for it
            # requests that still hold the old one finish with it; its threads end with the last reference
            self.retriever = fresh
            return True
        except ValueError as error:
            log.error("the new bundle is not taken: %s", error)
            return False
        finally:
            self._reloading.release()

    def close(self) -> None:
        """Give threads and connections back."""
        self.retriever.close()
        self.store.close()

    def _sold(self, item_ids: Sequence) -> list:
        """Those that the catalogue has: models are not asked about ids that somebody made up."""
        return [item_id for item_id in item_ids if item_id in self.catalogue]

    def _remembered(self, session_id: str) -> tuple[Session, bool]:
        try:
            return self.store.session(session_id), True
        except StoreError as error:
            log.warning("session memory: %s", error)
            return Session(session_id), False
