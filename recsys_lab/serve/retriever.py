"""The retriever: from what a visitor did to a list, whatever happens to a model on the way.

Each model proposes candidates (`sources`), they are merged into one list (`merging`), without what the visit has seen,
what is excluded and what cannot be had. Popular items fill up what is missing, and stand in for everything when no
model answers within the budget: a page is never broken by a model.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from recsys_lab.interactions import Sessions
from recsys_lab.serve import merging
from recsys_lab.serve.answers import Answer, Recommended, UserCard
from recsys_lab.serve.bundle import Bundle
from recsys_lab.serve.calls import Calls
from recsys_lab.serve.explaining import speaking_clicks
from recsys_lab.serve.sources import Source, bare, known_clicks, source

#: Who takes part in "for you", in this order, and with which weight. Chosen on the bookshop's last weeks
#: (benchmarks/retrieval.py): readers' taste added to a visit that has begun made lists worse, so it speaks before only.
WEIGHTS = {"session": 1.0, "neighbours": 1.0}
BEFORE = "user"  # who speaks for a known reader of whose visit the others can say nothing


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
        self._calls = Calls({*bundle.models, *asked})
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
        items = self._explained(rows, session, "related")
        why = self._why(led, session, user_id, bool(failed))
        spent = 1000 * (time.perf_counter() - start)
        return Answer(items, led, bool(failed), why, spent, timings, self.version)

    def _proposals(self, roles, session: list, user_id, start: float) -> tuple[dict[str, list], dict, list[str]]:
        tasks = {role: partial(self._candidates, role, session, user_id) for role in roles}
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

    def _ask(self, tasks: dict[str, Callable], start: float) -> tuple[dict, dict[str, float], list[str]]:
        """Ask the models that are there, in what is left of the budget: see `Calls.ask`."""
        missing = [role for role in tasks if role not in self.bundle.models]
        there = {role: task for role, task in tasks.items() if role in self.bundle.models}
        answers, timings, failed = self._calls.ask(there, self.budget_ms / 1000 - (time.perf_counter() - start))
        return answers, timings, missing + failed

    def _explained(self, rows: list[tuple], session: Sequence, role: str) -> tuple[Recommended, ...]:
        """Rows (item, score, source) with the click that speaks for each of them."""
        model = self.bundle.models.get(role)
        clicks = speaking_clicks(model, [item for item, _, _ in rows], session)
        return tuple(Recommended(i, s, score, c) for (i, score, s), c in zip(rows, clicks, strict=True))

    # ---- other lists ----------------------------------------------------------------------------------------------

    def _one(self, role: str, items: Sequence, k: int, why: str) -> Answer:
        """A list of one model for a set of items, such as "related"; popular ones where it fails."""
        start = time.perf_counter()
        proposed, timings, failed = self._ask({role: partial(self._scored, role, list(items))}, start)
        gone = set(items)
        found = [row for row in proposed.get(role, []) if row[0] not in gone and self.catalogue.available(row[0])]
        rows = self._explained([(item, score, role) for item, score in found[: max(0, k)]], items, role)
        led = role
        if failed:
            led, why = "popular", "The model did not answer, so this is what most people read."
            rows = self.popular(k, exclude=items).items
        return Answer(rows, led, bool(failed), why, 1000 * (time.perf_counter() - start), timings, self.version)

    def _scored(self, role: str, items: list) -> list[tuple]:
        model = self.bundle.models[role]
        clicks = known_clicks(model, items)
        if clicks.n_clicks == 0:
            return []
        indices, scores = Source(model).best(clicks, np.array([clicks.n_clicks - 1]), self.n_candidates)
        keep = indices[0] >= 0
        return list(zip(model.vocabulary_.decode(indices[0][keep]).tolist(), scores[0][keep].tolist(), strict=True))

    def related(self, item_id, k: int = 6) -> Answer:
        """Items that are looked at together with one."""
        return self._one("related", [item_id], k, "Looked at in the same visits.")

    def bought_together(self, item_ids: Sequence, k: int = 6) -> Answer:
        """Items that go with a basket, more often than by chance."""
        return self._one("together", item_ids, k, "Bought in one go, more often than by chance.")

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

    def _why(self, led: str, session: list, user_id, failed: bool) -> str:
        n = len(session)
        visit = "the book" if n == 1 else f"the {n} books"
        if led in ("session", "neighbours"):
            return f"From {visit} you looked at in this visit, in their order." if led == "session" else (
                f"From past visits that resemble this one: {visit} you looked at.")  # fmt: skip
        if led == "user":
            return f"From what reader {user_id} looked at and bought in the past."
        if failed:
            return "The models did not answer, so this is what most people read."
        if user_id is not None and not session:
            return f"Nothing is known of reader {user_id}, so this is what most people read."
        return "Nothing is known of this visit yet, so this is what most people read."

    def close(self) -> None:
        """Give the threads back; a call that is stuck is not waited for."""
        self._calls.close()
