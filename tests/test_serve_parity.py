"""Train and serve say the same: events through the service, and the log that they leave through the batch path.

After every event the service is asked for its list. Afterwards all these prefixes go through `Retriever.batch` in one
go, as an offline evaluation would. What the models were given, and the lists, have to be the same.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
import tiny_shop
from starlette.testclient import TestClient
from tiny_shop import LONGEST, N_BOOKS, NOW

from recsys_lab.interactions import Sessions
from recsys_lab.serve.api import ServeSettings, make_app
from recsys_lab.serve.memory import DAY, SECOND, open_store
from recsys_lab.serve.shop import Shop

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies

MAX_EVENTS = LONGEST + 3  # what a session shows: more than any session in training
K = 10
USERS = {"a": None, "b": 3, "c": 77_777}  # nobody, a known reader, an unknown one
UNKNOWN = (0, 5_000)


class Spy:
    """Notes what a source is asked: for each row the clicks that it reads, by item id, and the reader."""

    def __init__(self, inner):
        self.inner, self.asked = inner, []

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def best(self, sessions, rows, k):
        session = sessions.session_of_click[rows]
        users = np.full(len(rows), -1) if sessions.users is None else sessions.users[session]
        for row, first, user in zip(rows, sessions.offsets[session], users, strict=True):
            clicks = sessions.vocabulary.decode(sessions.items[first : row + 1]).tolist()
            self.asked.append((tuple(clicks), int(user)))
        return self.inner.best(sessions, rows, k)


class Service:
    """The shop over HTTP, on SQLite; `defect` changes what the memory says of a session."""

    def __init__(self, defect=None):
        self.store = open_store(None, max_events=MAX_EVENTS, session_limit=100)
        store = self.store if defect is None else Defect(self.store, defect)
        self.shop = Shop(tiny_shop.bundle(), store, lambda: NOW, budget_ms=20_000)
        self.spies = {role: Spy(source) for role, source in self.shop.retriever.sources.items()}
        self.shop.retriever.sources = dict(self.spies)
        settings = ServeSettings(pages=False, shared=(10**6, 1e6), allowance=(10**6, 1e6))
        self.client = TestClient(make_app(self.shop, settings), base_url="http://localhost")

    def replay(self, stream):
        """Send events one by one; after each (session, arrivals so far, list, what the models were asked, outcome)."""
        for event in stream:
            answer = self.client.post("/events", json=event)
            assert answer.status_code == 200, answer.text
            for spy in self.spies.values():
                spy.asked.clear()
            got = self.client.get("/recommendations", params={"session_id": event["session_id"], "k": K}).json()
            assert not got["degraded"], got
            asked = {role: tuple(spy.asked) for role, spy in self.spies.items()}
            ids = [row["item_id"] for row in got["items"]]
            yield event["session_id"], self.store.count(), ids, asked, answer.json()["outcomes"][0]

    def close(self):
        self.shop.close()
        self.store.close()


class Defect:
    """A memory with a defect: `spoil` changes the clicks of a session."""

    def __init__(self, inner, spoil):
        self.inner, self.spoil = inner, spoil
        self.whole = open_store(inner.path, max_events=10_000)

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def session(self, session_id):
        session = self.inner.session(session_id)
        return replace(session, views=tuple(self.spoil(session.views, self.whole.session(session_id).views)))

    def close(self):
        self.whole.close()


DEFECTS = {
    "drops": lambda views, whole: views[:-1] if len(views) > 1 else views,
    "reverses": lambda views, whole: views[::-1],
    "truncates at the wrong end": lambda views, whole: whole[:MAX_EVENTS],
    "pads": lambda views, whole: views[:1] * (MAX_EVENTS - len(views)) + views,
}


# ---- the batch path -----------------------------------------------------------------------------------------------


def batch_inputs(log: pd.DataFrame, prefixes) -> Sessions:
    """One session a prefix: what offline code makes of the log as it was then."""
    parts = []
    for number, (session, arrivals) in enumerate(prefixes):
        part = log.iloc[:arrivals]
        parts.append(part[(part["session_id"] == session) & ~part["late"]].assign(session_id=number))
    frame = pd.concat(parts).drop(columns=["late", "event_id"])
    if not (frame["event"] == "view").any():
        return Sessions.from_lists([])
    sessions = Sessions.from_frame(frame).only("view")
    newest = np.repeat(sessions.lengths, sessions.lengths) - sessions.positions <= MAX_EVENTS
    return sessions.where(newest)


def baskets(log, session, arrivals):
    """Items in the basket or bought, which are not recommended, and those looked at."""
    part = log.iloc[:arrivals]
    part = part[(part["session_id"] == session) & ~part["late"]].sort_values(["timestamp", "order"], kind="stable")
    basket = set()
    for row in part.itertuples():
        if row.event == "cart":
            basket.add(row.item_id)
        elif row.event in ("remove", "purchase"):
            basket.discard(row.item_id)
    bought = set(part.loc[part["event"] == "purchase", "item_id"])
    return basket | bought, set(part.loc[part["event"] == "view", "item_id"][-MAX_EVENTS:])


def check(stream, defect=None) -> set:
    """Compare both paths; returns the outcomes that the stream had."""
    service = Service(defect)
    try:
        served = list(service.replay(stream))
        log = service.store.log()
        sessions = batch_inputs(log, [row[:2] for row in served])
        spies = service.spies
        for spy in spies.values():
            spy.asked.clear()
        of_prefix = dict(zip(sessions.session_ids.tolist(), sessions.offsets[1:] - 1, strict=True))
        lists = service.shop.retriever.batch(sessions, list(of_prefix.values()), K)
        batch_lists = dict(zip(of_prefix, lists, strict=True))
        compare(service, served, log, sessions, batch_lists)
    finally:
        service.close()
    return {row[-1] for row in served}


def compare(service, served, log, sessions, batch_lists):
    retriever, asked = service.shop.retriever, {role: list(spy.asked) for role, spy in service.spies.items()}
    for role in retriever.weights:  # rows come in order; a prefix without a known click asks nothing
        assert [a for row in served for a in row[3][role]] == asked[role], role
    for number, (session, arrivals, ids, _, _) in enumerate(served):
        basket, viewed = baskets(log, session, arrivals)
        if number not in batch_lists:
            user = USERS[session] if len(log.iloc[:arrivals].query("session_id == @session and not late")) else None
            assert ids == list(retriever.recommend([], K, user, exclude=basket).ids), number
        elif basket <= viewed:  # what lies in the basket unseen is left out by the page, not by the models
            assert ids == batch_lists[number], number


# ---- streams ------------------------------------------------------------------------------------------------------


def event(session, item, seconds, kind="view", event_id=None):
    when = datetime.fromtimestamp(NOW // SECOND, UTC) + timedelta(seconds=seconds)
    made = {"session_id": session, "item_id": item, "event": kind, "timestamp": when.isoformat()}
    made |= {"user_id": USERS[session]} if USERS[session] is not None else {}
    return made | ({"event_id": event_id} if event_id else {})


LATE = -DAY // SECOND - 60
items = st.one_of(st.integers(1, N_BOOKS), st.integers(1, 6), st.sampled_from(UNKNOWN))
times = st.one_of(st.integers(-300, 0), st.integers(-3, 0), st.sampled_from([LATE, LATE - 1, 600]))
kinds = st.sampled_from(["view"] * 8 + ["cart", "remove", "purchase", "return"])
one = st.builds(event, st.sampled_from("aabc"), items, times, kinds, st.sampled_from([None, None, "e1", "e2", "e3"]))


@st.composite
def streams(draw):
    """Short ones, and ones with a session longer than any in training; some events are sent again."""
    stream = draw(st.lists(one, min_size=1, max_size=12))
    if draw(st.booleans()):
        walk = draw(st.lists(st.integers(1, N_BOOKS), min_size=MAX_EVENTS + 1, max_size=MAX_EVENTS + 6))
        stream += [event("a", item, -200 + n) for n, item in enumerate(walk)]
    again = draw(st.lists(st.sampled_from(stream), max_size=2))
    return stream + again


@hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None,
                     suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
@hypothesis.given(streams())
def test_service_and_batch_say_the_same(stream):
    check(stream)


LONG = [event("b", 1 + (7 * n) % N_BOOKS, -100 + n, event_id=f"x{n}") for n in range(MAX_EVENTS + 4)]
MIXED = [
    event("a", 5_000, -90),
    event("a", 3, -80),
    event("a", 9, LATE),
    event("a", 4, -85, event_id="early"),
    event("a", 4, -85, event_id="early"),
    event("a", 8, -85, event_id="early"),
    event("a", 3, -70),
    event("a", 11, 900),
    event("a", 3, -60, "cart"),
    event("c", 0, -60),
    event("b", 20, -50, "cart"),
    *LONG,
]


def test_one_stream_with_everything():
    assert check(MIXED) == {"stored", "duplicate", "conflict", "late", "future", "unknown_item"}


def test_a_session_that_is_full():
    stream = [event("a", 1 + n % N_BOOKS, -200 + n) for n in range(103)]
    service = Service()
    try:
        for start in range(0, 98, 49):
            service.client.post("/events", json=stream[start : start + 49])
        rows = list(service.replay(stream[98:]))
        assert [row[-1] for row in rows] == ["stored", "stored", "full", "full", "full"]
        assert rows[1][2:4] == rows[4][2:4]  # neither inputs nor list change
    finally:
        service.close()


@pytest.mark.parametrize("name", DEFECTS)
def test_a_memory_with_a_defect_is_found(name):
    with pytest.raises(AssertionError):
        check(LONG, DEFECTS[name])


def test_the_detector_itself_changes_nothing():
    check(LONG, lambda views, whole: views)
