"""The retriever: from what a visitor did to a list, whatever happens to a model on the way.

Each model proposes candidates (`sources`), they are merged into one list (`merging`), without what the visit has seen,
what is excluded and what cannot be had. Popular items fill up what is missing, and stand in for everything when no
model answers within the budget: a page is never broken by a model.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

import numpy as np

from recsys_lab.interactions import Sessions
from recsys_lab.serve import merging
from recsys_lab.serve.bundle import Bundle
from recsys_lab.serve.sources import Source, bare, known_clicks, source

log = logging.getLogger(__name__)
#: Who takes part in "for you", in this order, and with which weight. Chosen on the bookshop's last weeks
#: (benchmarks/retrieval.py): readers' taste added to a visit that has begun made lists worse, so it speaks before only.
WEIGHTS = {"session": 1.0, "neighbours": 1.0}
BEFORE = "user"  # who speaks for a known reader of whose visit the others can say nothing
MOST_STUCK = 2  # calls of a model that have not come back, above which it is not asked
THREADS = 4  # a model: one that is stuck takes none from the others


@dataclass(frozen=True, slots=True)
class Recommended:
    """One place of a list.

    Attributes
    ----------
    item_id : int or str
    source : str
        Which model put it there: "session", "neighbours", "user", "popular", "related", "together" or "trending".
    score : float
        By which it was ranked; comparable within one list only.
    because : int, str or None
        The click that speaks most for it.
    """

    item_id: int | str
    source: str
    score: float
    because: int | str | None = None


@dataclass(frozen=True)
class Answer:
    """A list, and how it came about.

    Attributes
    ----------
    items : tuple of Recommended
        Best first.
    source : str
        What led: the source of the strongest model that answered; "popular" where none did.
    degraded : bool
        Whether a model that should have answered did not: it failed, was too slow or is missing.
    why : str
        One sentence for a person.
    milliseconds : float
    timings : dict of str to float
        Milliseconds of each model that was asked.
    version : str
        Of the bundle.
    """

    items: tuple[Recommended, ...] = ()
    source: str = "popular"
    degraded: bool = False
    why: str = ""
    milliseconds: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    version: str = ""

    @property
    def ids(self) -> tuple:
        """Item ids, best first."""
        return tuple(row.item_id for row in self.items)


@dataclass(frozen=True)
class UserCard:
    """What is known of a reader: `history` (newest first: item_id, event, timestamp), `segment`, its `genres`."""

    user_id: int | str
    history: tuple
    segment: int | None = None
    genres: tuple[str, ...] = ()


class Retriever:
    """Answers from a bundle.

    Parameters
    ----------
    bundle : Bundle
    n_candidates : int
        How many each model proposes.
    max_per_author : int or None
        In one list, as long as others are left.
    budget_ms : float
        How long the models have in all. What has not answered by then is left out.
    index : str
        "exact", "inverted" or "faiss", for models with vectors.
    weights : dict, optional
        Of the models in "for you", by role; `WEIGHTS` by default.
    """

    def __init__(self, bundle: Bundle, *, n_candidates: int = 100, max_per_author: int | None = 2,
                 budget_ms: float = 200, index: str = "exact", weights: dict[str, float] | None = None):  # fmt: skip
        if "popular" not in bundle.models:
            raise ValueError("a shop needs a model for the role 'popular': it stands in for all others.")
        self.bundle, self.catalogue, self.version = bundle, bundle.catalogue, bundle.version
        self.n_candidates, self.max_per_author, self.budget_ms = n_candidates, max_per_author, budget_ms
        self.weights = WEIGHTS if weights is None else weights
        asked = [*self.weights, BEFORE]
        self.sources: dict[str, Source] = {r: source(r, m, index) for r, m in bundle.models.items() if r in asked}
        popular = bundle.models["popular"]
        scores = popular._popular()
        order = np.argsort(-scores, kind="stable")
        rows = zip(popular.vocabulary_.decode(order).tolist(), scores[order].tolist(), strict=True)
        self._popular_rows = [row for row in rows if row[1] > 0]
        roles = {*bundle.models, *asked}
        self._pools = {role: ThreadPoolExecutor(THREADS, thread_name_prefix=f"model-{role}") for role in roles}
        self._stuck, self._lock = dict.fromkeys(roles, 0), threading.Lock()
        self._user_rows = None

    # ---- for you --------------------------------------------------------------------------------------------------

    def recommend(self, session: Sequence, k: int = 10, user_id=None, exclude: Collection = ()) -> Answer:
        """Recommend items to somebody who has just clicked through a session.

        Parameters
        ----------
        session : sequence of item ids
            In the order of the clicks. Items that a model does not know are left out for it.
        k : int
        user_id : optional
        exclude : collection of item ids

        Returns
        -------
        Answer
            Never raises because of a model.
        """
        start = time.perf_counter()
        session = list(session)
        lists, timings, failed = self._proposals(self.weights, session, user_id, start) if session else ({}, {}, [])
        if not lists and user_id is not None:
            lists, more, also = self._proposals([BEFORE], session, user_id, start)
            timings, failed = timings | more, failed + also
        rows = self._list(lists, k, {*session, *exclude})
        led = next((role for role in (*self.weights, BEFORE) if role in lists), "popular")
        led = led if any(s != "popular" for _, _, s in rows) else "popular"
        items = tuple(Recommended(i, s, score, self._speaks_for(i, session)) for i, score, s in rows)
        why = self._why(led, session, user_id, bool(failed))
        spent = 1000 * (time.perf_counter() - start)
        return Answer(items, led, bool(failed), why, spent, timings, self.version)

    def _proposals(self, roles, session: list, user_id, start: float) -> tuple[dict[str, list], dict, list[str]]:
        tasks = {role: (self._candidates, role, session, user_id) for role in roles}
        proposed, timings, failed = self._ask(tasks, start)
        return {role: proposed[role] for role in roles if proposed.get(role)}, timings, failed

    def batch(self, sessions: Sessions, rows, k: int = 10) -> list[list]:
        """The batch path: lists after many clicks in one go, the same as `recommend` gives for each prefix.

        Parameters
        ----------
        sessions : Sessions
            With users where "user" is to count.
        rows : array-like of int, shape (n_rows,)

        Returns
        -------
        list of list of item ids
        """
        rows, sessions = np.asarray(rows, np.int64), bare(sessions)
        firsts = sessions.offsets[sessions.session_of_click[rows]]
        by_role = {role: self._batch(src, sessions, rows) for role, src in self.sources.items()}
        answers = []
        for n, row in enumerate(rows):
            seen = sessions.items[firsts[n] : row + 1]
            seen = sessions.vocabulary.decode(seen[seen >= 0]).tolist()
            lists = {role: by_role[role][n] for role in self.weights if by_role.get(role) and by_role[role][n]}
            if not lists and BEFORE in by_role and by_role[BEFORE][n]:
                lists = {BEFORE: by_role[BEFORE][n]}
            answers.append([item for item, _, _ in self._list(lists, k, set(seen))])
        return answers

    def _batch(self, src: Source, sessions: Sessions, rows: np.ndarray) -> list[list]:
        """Candidates of one model for many clicks; each row by the clicks that the model knows."""
        recoded, model = sessions.recode(src.model.vocabulary_), src.model
        if model.user_vocabulary_ is not None and sessions.users is not None:
            ids = sessions.user_vocabulary.ids
            users = np.append(model.user_vocabulary_.encode(ids), -1)[sessions.users]
            recoded = replace(recoded, users=users.astype(np.int32), user_vocabulary=model.user_vocabulary_)
        known = recoded.items >= 0
        last = np.cumsum(known)[rows] - 1  # among known clicks
        visits = sessions.session_of_click[rows]
        first = np.cumsum(np.append(0, known))[sessions.offsets[visits]]
        users = np.full(len(rows), -1) if recoded.users is None else recoded.users[visits]
        found: list[list] = [[] for _ in rows]
        for n in np.flatnonzero(last < first):  # no click that the model knows
            found[n] = self._from_reader(src, int(users[n]))
        asked = np.flatnonzero(last >= first)
        if len(asked):
            indices, _ = src.best(recoded.where(known), last[asked], self.n_candidates)
            for n, row in zip(asked, indices, strict=True):
                found[n] = model.vocabulary_.decode(row[row >= 0]).tolist()
        return found

    def _candidates(self, role: str, session: list, user_id) -> list:
        """Item ids that a model proposes, best first."""
        src = self.sources[role]
        clicks = known_clicks(src.model, session, user_id)
        if clicks.n_clicks == 0:
            return self._from_reader(src, -1 if clicks.users is None else int(clicks.users[0]))
        indices, _ = src.best(clicks, np.array([clicks.n_clicks - 1]), self.n_candidates)
        return src.model.vocabulary_.decode(indices[0][indices[0] >= 0]).tolist()

    def _from_reader(self, src: Source, user: int) -> list:
        if user < 0 or not hasattr(src, "before_the_first_click"):
            return []
        indices, _ = src.before_the_first_click(user, self.n_candidates)
        return src.model.vocabulary_.decode(indices[indices >= 0]).tolist()

    def _list(self, lists: dict[str, list], k: int, gone: set) -> list[tuple]:
        """Merged rows (item, score, source), popular ones at their end, without what is gone; at most k."""
        merged = merging.fuse(lists, self.weights)
        have = {row[0] for row in merged}
        filling = ((item, 0.0, "popular") for item, _ in self._popular_rows if item not in have)
        # a generator: of a large catalogue only as much is looked at as the list needs
        rows = (r for r in itertools.chain(merged, filling) if r[0] not in gone and self.catalogue.available(r[0]))
        return merging.spread(rows, k, lambda row: self._author(row[0]), self.max_per_author)

    def _author(self, item_id) -> str:
        item = self.catalogue.get(item_id)
        return item.author if item else ""

    # ---- asking models --------------------------------------------------------------------------------------------

    def _ask(self, tasks: dict[str, tuple], start: float) -> tuple[dict, dict[str, float], list[str]]:
        """Run tasks side by side within the budget: what came back, milliseconds of each, and who failed."""
        running: dict[str, Future] = {}
        timings: dict[str, float] = {}
        failed = []
        for role, task in tasks.items():
            if role not in self.bundle.models or self._stuck[role] >= MOST_STUCK:
                failed.append(role)
                continue
            try:
                running[role] = self._pools[role].submit(self._timed, role, timings, *task)
            except RuntimeError:  # closed meanwhile
                failed.append(role)
        left = self.budget_ms / 1000 - (time.perf_counter() - start)
        wait(running.values(), timeout=max(0.0, left))
        answers = {}
        for role, future in running.items():
            if not future.done():
                failed.append(role)
                self._note_stuck(role, future)
            elif future.cancelled():
                failed.append(role)
            elif (error := future.exception()) is not None:
                failed.append(role)
                log.warning("model %s failed: %s: %s", role, type(error).__name__, error)
            else:
                answers[role] = future.result()
        return answers, {role: timings[role] for role in answers}, failed

    def _timed(self, role: str, timings: dict, function, *arguments):
        start = time.perf_counter()
        answer = function(*arguments)
        timings[role] = 1000 * (time.perf_counter() - start)
        return answer

    def _note_stuck(self, role: str, future: Future) -> None:
        """Count a call that is too late until it comes back; if it has not even begun, take it away."""
        if future.cancel():
            return
        log.warning("model %s did not answer within %g ms", role, self.budget_ms)
        with self._lock:
            self._stuck[role] += 1

        def back(_):
            with self._lock:
                self._stuck[role] -= 1

        future.add_done_callback(back)

    def _one(self, role: str, items: Sequence, k: int, why: str, fill: bool) -> Answer:
        """A list of one model for a set of items, such as "related"; popular ones where it fails."""
        start = time.perf_counter()
        proposed, timings, failed = self._ask({role: (self._scored, role, list(items))}, start)
        gone = set(items)
        found = [row for row in proposed.get(role, []) if row[0] not in gone and self.catalogue.available(row[0])]
        rows = [Recommended(i, role, score, self._speaks_for(i, items, role)) for i, score in found[:k]]
        led = role
        if failed or (fill and not rows):
            led, why = "popular", "The model has nothing to say here, so this is what most people read."
            rows = self.popular(k, exclude=items).items
        return Answer(tuple(rows), led, bool(failed), why, 1000 * (time.perf_counter() - start), timings, self.version)

    def _scored(self, role: str, items: list) -> list[tuple]:
        model = self.bundle.models[role]
        clicks = known_clicks(model, items)
        if clicks.n_clicks == 0:
            return []
        indices, scores = Source(model).best(clicks, np.array([clicks.n_clicks - 1]), self.n_candidates)
        keep = indices[0] >= 0
        return list(zip(model.vocabulary_.decode(indices[0][keep]).tolist(), scores[0][keep].tolist(), strict=True))

    # ---- other lists ----------------------------------------------------------------------------------------------

    def related(self, item_id, k: int = 6) -> Answer:
        """Items that are looked at together with one."""
        return self._one("related", [item_id], k, "Looked at in the same visits.", fill=False)

    def because(self, item_id, k: int = 6) -> Answer:
        """Items for somebody who has just looked at one: `related`, filled up with popular ones."""
        return self._one("related", [item_id], k, "Looked at in the same visits.", fill=True)

    def bought_together(self, item_ids: Sequence, k: int = 6) -> Answer:
        """Items that go with a basket, more often than by chance."""
        return self._one("together", item_ids, k, "Bought in one go, more often than by chance.", fill=False)

    def popular(self, k: int = 10, exclude: Collection = ()) -> Answer:
        """What has been looked at most of late, in the log that the models learned from."""
        start, gone = time.perf_counter(), set(exclude)
        rows = (row for row in self._popular_rows if row[0] not in gone and self.catalogue.available(row[0]))
        rows = merging.spread(rows, k, lambda row: self._author(row[0]), self.max_per_author)
        items = tuple(Recommended(item, "popular", score) for item, score in rows)
        spent = 1000 * (time.perf_counter() - start)
        return Answer(items, "popular", False, "What most people read of late.", spent, {}, self.version)

    def user(self, user_id) -> UserCard | None:
        """What is known of a reader, None for an unknown one."""
        if self._user_rows is None:
            history = self.bundle.history
            self._user_rows = history.groupby("user_id", sort=False).indices
        rows = self._user_rows.get(user_id)
        if rows is None:
            return None
        past = self.bundle.history.iloc[rows[::-1]]
        events = tuple(zip(past["item_id"].tolist(), past["event"].tolist(), past["timestamp"].tolist(), strict=True))
        segment = self.bundle.segments.of(user_id) if self.bundle.segments else None
        return UserCard(user_id, events, segment[0] if segment else None, tuple(segment[1]) if segment else ())

    # ---- words ----------------------------------------------------------------------------------------------------

    def _speaks_for(self, item_id, session: Sequence, role: str = "related"):
        """The click whose weight for an item is largest, the latest of equal ones; None where none has any.

        Weights are those of the item-to-item model "related" (or "together"): plain, the same for every list, and they
        can be looked up. They say which click goes with the item, not what the model computed.
        """
        model = self.bundle.models.get(role)
        weights = getattr(model, "weights_", None)
        if weights is None or not len(session):
            return None
        try:
            return self._strongest(model.vocabulary_, weights, item_id, session)
        except Exception as error:  # a broken explanation breaks no list
            log.warning("model %s cannot explain: %s: %s", role, type(error).__name__, error)
            return None

    @staticmethod
    def _strongest(vocabulary, weights, item_id, session: Sequence):
        clicks = list(dict.fromkeys(reversed(list(session))))  # latest first
        (column, *indices) = vocabulary.encode([item_id, *clicks])
        best, strongest = None, 0.0
        for click, index in zip(clicks, indices, strict=True):
            if column < 0 or index < 0:
                continue
            start, end = weights.indptr[index], weights.indptr[index + 1]
            place = np.flatnonzero(weights.indices[start:end] == column)
            weight = weights.data[start + place[0]] if len(place) else 0.0
            if weight > strongest:
                best, strongest = click, weight
        return best

    def _why(self, led: str, session: list, user_id, failed: bool) -> str:
        n = len(session)
        visit = "the book" if n == 1 else f"the {n} books"
        if led in ("session", "neighbours"):
            return f"From {visit} you looked at in this visit, in their order." if led == "session" else (
                f"From past visits that resemble this one: {visit} you looked at.")  # fmt: skip
        if led == "user":
            return f"From what reader {user_id} looked at and bought in the past."
        if failed:
            return "The models did not answer in time, so this is what most people read."
        if user_id is not None and not session:
            return f"Nothing is known of reader {user_id}, so this is what most people read."
        return "Nothing is known of this visit yet, so this is what most people read."

    def close(self) -> None:
        """Give the threads back; a call that is stuck is not waited for."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
