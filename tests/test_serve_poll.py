"""The live poll: what is kept, what is deleted, who may do what, what a room can say about models."""

import asyncio
import contextlib
import hashlib
import html
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import threading
import time
from functools import partial
from types import SimpleNamespace
from urllib.parse import parse_qs, urlencode, urlsplit

import numpy as np
import pandas as pd
import pytest
import segno
from fastapi.testclient import TestClient
from poll_server import AGENT, Server

from recsys_lab import bookshop, cli, datasets, poll_answers
from recsys_lab.bookshop import making
from recsys_lab.bookshop.poll_class import poll_class
from recsys_lab.evaluate import evaluate
from recsys_lab.held_out import evaluate_held_out
from recsys_lab.histories import hold_out
from recsys_lab.interactions import Sessions
from recsys_lab.models import ALS, ItemKNN, Popularity, SequentialRules, SessionKNN
from recsys_lab.poll_answers import PollFileError
from recsys_lab.serve import network, poll_chart, poll_command, poll_run, poll_text, poll_verdict
from recsys_lab.serve.catalogue import Catalogue
from recsys_lab.serve.guard import BURST, PER_S, Guard
from recsys_lab.serve.poll import make_poll_app
from recsys_lab.serve.poll_pages import KEEP_S, PHONE, ROOM, PollSettings
from recsys_lab.serve.poll_presenter import PRESENTER, qr_svg
from recsys_lab.serve.poll_report import room_report
from recsys_lab.serve.poll_store import GoneError, PickError, PollClosedError, PollStore

BIG = [107_654_321 + 1_000 * i for i in range(12)]  # ids of four bytes, so that each can be looked for in a file


@pytest.fixture(scope="module")
def catalogue():
    return Catalogue(bookshop.load()["items"])


@pytest.fixture
def store(tmp_path):
    store = PollStore(tmp_path / "poll.sqlite", BIG)
    yield store
    store.shut()


def bytes_beside(path) -> bytes:
    """Everything that lies in the poll's file and beside it, but not the secrets."""
    return b"".join(f.read_bytes() for f in sorted(path.parent.iterdir()) if not f.name.endswith(".key"))


# ---- the store


def test_picks_are_kept_in_their_order_and_replaced_by_later_ones(store):
    store.submit("phone", [BIG[3], BIG[1], BIG[2]])
    assert store.answers("phone") == (BIG[3], BIG[1], BIG[2])
    store.submit("phone", [BIG[5]])
    assert store.answers("phone") == (BIG[5],)
    assert store.answers("another") == ()
    assert store.count() == 1


def test_the_same_sent_twice_changes_nothing(store):
    store.submit("phone", BIG[:5])
    before, events = store.version, store.events()
    store.submit("phone", BIG[:5])
    assert (store.version, store.count()) == (before, 1)
    pd.testing.assert_frame_equal(store.events(), events)
    store.submit("phone", BIG[4::-1])  # the same books in another order are other answers
    assert store.version != before


@pytest.mark.parametrize(
    ("picks", "words"),
    [
        ([], "at least one"),
        (BIG[:6], "6 books"),
        ([BIG[0], BIG[1], BIG[0]], "twice"),
        ([BIG[0], 5], "not in the catalogue"),
        ([None], "not in the catalogue"),
        (["107654321"], "not in the catalogue"),
    ],
)
def test_picks_that_cannot_be_are_refused_and_change_nothing(store, picks, words):
    store.submit("phone", BIG[:2])
    with pytest.raises(PickError, match=words):
        store.submit("phone", picks)
    assert store.answers("phone") == tuple(BIG[:2])


def test_one_book_is_enough(store):
    store.submit("phone", BIG[:1])
    assert store.count() == 1


def test_a_closed_poll_keeps_what_was_there_and_can_open_again(store):
    store.submit("phone", BIG[:2])
    store.close_poll()
    for token in ("phone", "new"):
        with pytest.raises(PollClosedError, match="closed"):
            store.submit(token, BIG[5:7])
    assert store.answers("phone") == tuple(BIG[:2]) and store.count() == 1
    store.reopen_poll()
    store.submit("phone", BIG[5:7])
    assert store.answers("phone") == tuple(BIG[5:7])


def test_deleted_answers_are_gone_from_every_byte(store):
    for i in range(40):  # so many that pages are split and rows move
        store.submit(f"other-{i}", BIG[:4])
    store.submit("phone", BIG[4:9])
    person = store._person(store._mark("phone"))
    traces = [store._mark("phone"), *(item.to_bytes(4, "big") for item in BIG[4:9])]
    assert all(trace in bytes_beside(store.path) for trace in traces)
    assert store.delete("phone") == 5
    assert not any(trace in bytes_beside(store.path) for trace in traces)
    assert person not in store.events()["session_id"].to_numpy() and store.count() == 40
    assert store.delete("phone") == 0


def test_replaced_answers_are_gone_from_every_byte(store):
    traces = [item.to_bytes(4, "big") for item in BIG[4:9]]
    store.submit("phone", BIG[4:9])
    assert all(trace in bytes_beside(store.path) for trace in traces)
    store.submit("phone", BIG[:2])
    assert not any(trace in bytes_beside(store.path) for trace in traces)


def test_deleting_works_in_a_closed_poll_and_beside_a_reader(store):
    store.submit("phone", BIG[:5])
    store.close_poll()
    reader = sqlite3.connect(store.path)
    rows = reader.execute("SELECT * FROM picks")  # done reading, but not closed
    assert len(rows.fetchall()) == 5
    assert store.delete("phone") == 5
    reader.close()
    assert store.count() == 0


def test_what_arrives_after_a_deletion_does_not_bring_the_answers_back(store):
    store.submit("phone", BIG[:5])
    store.delete("phone")
    with pytest.raises(GoneError):
        store.submit("phone", BIG[:5])
    assert store.count() == 0


def test_the_file_alone_links_no_phone_to_its_answers(store, tmp_path):
    cookie = "A" * 43
    store.submit(cookie, BIG[:2])
    kept = bytes_beside(store.path)
    for trace in (cookie.encode(), hashlib.sha256(cookie.encode()).digest()[:16], store.secrets.key.encode()):
        assert trace not in kept
    assert bytes.fromhex(store.secrets.key) not in kept
    (tmp_path / "other").mkdir()
    other = PollStore(tmp_path / "other" / "poll.sqlite", BIG)
    assert other._mark(cookie) != store._mark(cookie)  # nor is one phone the same in two polls
    other.shut()


def test_nothing_tells_who_answered_first(store):
    for i in range(30):
        store.submit(f"phone-{i}", [BIG[i % 12]])
    marks = [store._mark(f"phone-{i}") for i in range(30)]
    store.close_poll()
    left = store.path.read_bytes()
    places = [left.index(mark) for mark in marks]
    people = [store._person(mark) for mark in marks]
    assert len(set(people)) == 30
    for order in (places, people, store.events()["item_id"].tolist()):
        assert abs(np.corrcoef(np.arange(30), order)[0, 1]) < 0.75  # by chance one in a million


def test_the_tables_hold_nothing_but_what_is_said(store):
    store.submit("phone", BIG[:2])
    with sqlite3.connect(store.path) as db:
        tables = {name: sql for name, sql in db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")}
        columns = {name: [c[1] for c in db.execute(f"PRAGMA table_info({name})")] for name in tables}
    assert columns == {
        "meta": ["key", "value"],
        "people": ["person", "token"],
        "picks": ["person", "place", "item_id"],
    }


def test_the_files_are_their_owners_alone(store):
    if os.name == "posix":
        for name in (store.path, f"{store.path}.key"):
            assert os.stat(name).st_mode & 0o077 == 0


def test_two_polls_on_one_file_are_refused(store):
    with pytest.raises(PollFileError, match="another poll is running"):
        PollStore(store.path, BIG)


def test_a_poll_goes_on_with_its_secrets_and_question(tmp_path):
    first = PollStore(tmp_path / "p.sqlite", BIG, "Which 'one'?")
    first.submit("phone", BIG[:3])
    kept = first.secrets
    first.shut()
    second = PollStore(tmp_path / "p.sqlite", BIG)
    assert (second.secrets, second.question, second.answers("phone")) == (kept, "Which 'one'?", tuple(BIG[:3]))
    assert not second.lost_key
    second.shut()
    (tmp_path / "p.sqlite.key").unlink()
    third = PollStore(tmp_path / "p.sqlite", BIG)
    assert third.lost_key and third.count() == 1 and third.answers("phone") == ()
    third.shut()


def test_files_that_are_no_poll_are_named_with_what_to_do(tmp_path):
    (tmp_path / "text.sqlite").write_text("hello, this is not a database")
    sqlite3.connect(tmp_path / "foreign.sqlite").execute("CREATE TABLE picks (a)").connection.close()
    (tmp_path / "key.sqlite.key").write_text("{")
    for name, words in (
        ("text.sqlite", "no SQLite file"),
        ("foreign.sqlite", "no poll"),
        ("key.sqlite", "damaged"),
        ("nowhere/p.sqlite", "folder"),
    ):
        with pytest.raises(PollFileError, match=words):
            PollStore(tmp_path / name, BIG)
        if name in ("text.sqlite", "foreign.sqlite"):  # and the lock is let go of
            with pytest.raises(PollFileError, match=words):
                PollStore(tmp_path / name, BIG)
    assert sqlite3.connect(tmp_path / "foreign.sqlite").execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_a_poll_that_was_killed_before_its_first_table_starts_anew(tmp_path):
    (tmp_path / "p.sqlite").touch()
    store = PollStore(tmp_path / "p.sqlite", BIG)
    store.submit("phone", BIG[:1])
    assert store.count() == 1
    store.shut()


# ---- the answers as a log


@pytest.fixture
def room_file(tmp_path):
    store = PollStore(tmp_path / "room.sqlite", range(1, 1209))
    rng = np.random.default_rng(0)
    for i in range(24):
        store.submit(f"phone-{i}", rng.choice(np.arange(1, 40), 5, replace=False).tolist())
    yield store.path  # the poll still runs
    store.shut()


def test_a_poll_is_a_data_set_seconds_later(room_file):
    room = datasets.load(f"poll:{room_file}")
    assert room.events["session_id"].nunique() == 24 and len(room.events) == 120
    assert list(room.events.columns) == ["session_id", "item_id", "event", "order"]
    assert room.events.groupby("session_id")["order"].apply(list).map(lambda o: o == [1, 2, 3, 4, 5]).all()
    assert not room.simulated and "24 people" in room.title and "24 people" in repr(room)
    assert {"title", "author"} <= set(room.items)
    for need in ("timestamps", "users", "ratings", "impressions"):
        with pytest.raises(datasets.UnsupportedError, match=need):
            room.require(need)
    room.require("sessions", "order", "titles")


def test_order_is_the_order_of_picking(tmp_path):
    store = PollStore(tmp_path / "p.sqlite", range(1, 50))
    store.submit("phone", [30, 4, 17])
    sessions = datasets.load(f"poll:{store.path}").sessions()
    assert sessions.vocabulary.decode(sessions[0]).tolist() == [30, 4, 17]
    store.shut()


@pytest.mark.parametrize("model", [Popularity(), ItemKNN(), SequentialRules(), SessionKNN(), ALS(factors=4)])
def test_models_and_evaluations_take_a_poll(room_file, model):
    sessions = datasets.load(f"poll:{room_file}").sessions(events=["view"])
    train, test = sessions.part(0, 16), sessions.part(16, 24)
    result = evaluate(model.fit(train), test)
    assert len(result.ranks) == 8 * 4 and 0 <= result.recall <= 1
    parts = hold_out(sessions, share=0.2, last=True)
    assert len(evaluate_held_out(model.fit(parts.train), parts.train, parts.test).users) > 0


def test_csv_and_file_say_the_same(room_file, tmp_path, capsys):
    assert cli_poll("--file", room_file, "--export", tmp_path / "answers.csv") == 0
    assert "120 picks of 24 people" in capsys.readouterr().out
    pd.testing.assert_frame_equal(
        datasets.load(f"poll:{tmp_path / 'answers.csv'}").events,
        datasets.load(f"poll:{room_file}").events,
        check_dtype=False,
    )
    with pytest.raises(ValueError, match="there already"):
        cli_poll("--file", room_file, "--export", tmp_path / "answers.csv")
    with pytest.raises(ValueError, match=r"answers.txt.csv"):
        cli_poll("--file", room_file, "--export", tmp_path / "answers.txt")


def test_what_is_no_poll_says_what_to_do(tmp_path):
    (tmp_path / "empty.sqlite").touch()
    (tmp_path / "text.sqlite").write_text("not a database at all")
    (tmp_path / "books.csv").write_text("item_id,title\n1,Emma\n")
    (tmp_path / "log.csv").write_text("session_id,item_id,event,timestamp\n1,2,view,2026-01-01T00:00:00Z\n")
    sqlite3.connect(tmp_path / "foreign.sqlite").execute("CREATE TABLE picks (a)").connection.close()
    sqlite3.connect(tmp_path / "newer.sqlite").executescript(
        f"CREATE TABLE a (b); PRAGMA application_id = {poll_answers.APPLICATION_ID}; PRAGMA user_version = 9"
    ).connection.close()
    fresh = PollStore(tmp_path / "fresh.sqlite", BIG)
    whole = (tmp_path / "fresh.sqlite").read_bytes()
    (tmp_path / "cut.sqlite").write_bytes(whole[: len(whole) // 2])
    for name, words in {
        "missing.sqlite": "no such file.*poll:sample",
        "": "no such file",
        "empty.sqlite": "is empty",
        "text.sqlite": "no SQLite file",
        "foreign.sqlite": "but no poll",
        "newer.sqlite": "version 9",
        "fresh.sqlite": "nobody has answered yet",
        "cut.sqlite": "cannot be read",
        "books.csv": "column 'session_id' is missing",
        "log.csv": "no column 'order'",
    }.items():
        with pytest.raises(PollFileError, match=re.compile(words, re.DOTALL)) as caught:
            datasets.load(f"poll:{tmp_path / name if name else ''}")
        assert "Fix" in str(caught.value)
    assert not (tmp_path / "missing.sqlite").exists()
    fresh.shut()


def test_the_class_that_stands_in_is_marked_simulated_and_can_be_made_again():
    room = datasets.load("poll:sample")
    assert room.simulated and "SIMULATED" in room.title
    events = room.events
    assert events["session_id"].nunique() == 30 and (events.groupby("session_id").size() == 5).all()
    assert not events.duplicated(["session_id", "item_id"]).any()
    made = poll_class(bookshop.truth(), making.CLASS_SEED)
    pd.testing.assert_frame_equal(made, events, check_dtype=False)
    assert not poll_class(bookshop.truth(), making.CLASS_SEED + 1).equals(made)
    # they pick what they truly like: far above what a random book is liked
    truth = bookshop.truth()
    rng = np.random.default_rng(making.CLASS_SEED)
    users = rng.choice(truth.user_vocabulary.ids, size=30, replace=False)
    liked = truth.preference(np.repeat(users, 5), events["item_id"].to_numpy())
    assert liked.mean() > np.quantile(truth.preference(users), 0.99)


# ---- what a room can say


def events_of(picks):
    rows = [(s, item, "view", place) for s, items in enumerate(picks) for place, item in enumerate(items, 1)]
    return pd.DataFrame(rows, columns=list(poll_answers.COLUMNS))


def test_a_report_worked_by_hand():
    # 1 and 2 go together; 9 is picked by everybody last but by nobody else before
    report = room_report(events_of([[1, 2], [1, 2, 3], [2, 1], [4]]), range(1, 101), k=2, n_top=3)
    assert (report.n_people, report.n_picks, report.n_books, report.n_asked) == (4, 8, 4, 3)
    assert report.top == ((1, 3), (2, 3), (3, 1))
    pairs = [(p.item_id, p.with_item_id, p.both, p.of) for p in report.together]
    assert pairs == [(1, 2, 3, 3)]  # 3 was picked with each once only
    # asked: 1 -> 2, 1 2 -> 3, 2 -> 1; the others hold 2 twice, 3 never, 1 twice
    for model in report.models:
        assert model.hits.tolist() == [True, False, True], model.name
        assert model.rate == pytest.approx(2 / 3)
    assert report.chance == pytest.approx(np.mean([2 / 99, 2 / 98, 2 / 99]))


def test_nobody_is_predicted_from_their_own_picks():
    # every hidden pick is picked by one person only: whoever finds it has looked
    picks = [[1, 2, 50 + i] for i in range(20)]
    report = room_report(events_of(picks), range(1, 101), k=3)
    assert {m.name: int(m.hits.sum()) for m in report.models} == {"popularity": 0, "item neighbours": 0}


def test_the_shops_model_is_asked_for_the_whole_catalogue():
    # the shop learned 1 -> 2 -> 3 with other items and another vocabulary than the room's
    shop = SequentialRules().fit(Sessions.from_lists([[1, 2, 3, 77]] * 5 + [[2, 3]] * 5))
    report = room_report(events_of([[1, 2, 3], [9, 8]]), range(1, 60), gru=shop, k=1)
    (hits,) = [m for m in report.models if m.knows == "the shop"]
    assert hits.hits.tolist() == [True, False]  # 77 is no book of this catalogue, 8 nothing that the shop knows


def test_small_rooms_are_no_error():
    alone = room_report(events_of([[1, 2, 3]]), range(1, 60))
    assert alone.n_asked == 1 and all(m.hits.sum() == 0 for m in alone.models)
    assert "too few" in alone.verdict
    single = room_report(events_of([[1], [2]]), range(1, 60))
    assert single.models == () and "nothing to predict" in single.verdict
    assert poll_text.as_text(single, dict.fromkeys(range(60), "Emma")).startswith("2 people")
    with pytest.raises(ValueError, match="nobody has answered"):
        room_report(events_of([]), range(1, 60))


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    # Newcombe (Statistics in Medicine 1998), table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_intervals_are_the_published_ones(successes, trials, low, high):
    assert poll_verdict.wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


def test_the_number_of_people_needed_has_the_power_it_promises():
    first, second = np.array([1] * 8 + [0] * 22, bool), np.array([0] * 5 + [1] * 5 + [0] * 20, bool)
    # 8 against 5 of 30, 3 both: 5 only the first, 2 only the second
    assert ((first & ~second).sum(), (second & ~first).sum()) == (5, 2)
    n = poll_verdict.people_needed(first, second)
    rng = np.random.default_rng(1)
    only_first, only_second, _ = rng.multinomial(n, [5 / 30, 2 / 30, 23 / 30], size=20_000).T
    found = (only_first - only_second) ** 2 > 1.96**2 * (only_first + only_second)  # McNemar's test
    assert found.mean() == pytest.approx(0.80, abs=0.015)
    assert poll_verdict.people_needed(first, second) == poll_verdict.people_needed(second, first)
    assert poll_verdict.people_needed(first, second, power=0.95) > n


def hits(name, *values):
    values = np.array(values, bool)
    return SimpleNamespace(name=name, hits=values, n=len(values), rate=values.mean())


def test_the_verdict_says_what_the_numbers_allow():
    close = poll_verdict.verdict([hits("GRU", *[1] * 5, *[0] * 25), hits("popularity", *[0] * 27, *[1] * 3)])
    needed = poll_verdict.people_needed(np.arange(30) < 5, np.arange(30) >= 27)
    assert close.startswith("30 people are too few") and f"about {needed:,} people" in close and "80 % power" in close
    level = poll_verdict.verdict([hits("GRU", 1, 0, 0), hits("popularity", 0, 1, 0)])
    assert "equally often" in level and "3 people are too few" in level
    clear = poll_verdict.verdict([hits("GRU", *[1] * 12, *[0] * 18), hits("popularity", *[0] * 30)])
    assert "too few" not in clear and "more than chance" in clear
    few = poll_verdict.verdict(
        [hits("GRU", 1, 1, 1, 1), hits("popularity", 0, 0, 0, 0)]
    )  # p = 1/8, however large it is
    assert "4 people are too few" in few and poll_verdict.mcnemar(np.ones(4, bool), np.zeros(4, bool)) == 0.125


def test_charts_say_in_words_what_they_show():
    chart = poll_chart.bars([("War & <Peace>", 5), ("Emma", 2)], "How many")
    assert 'aria-label="How many: War &amp; &lt;Peace&gt;, 5; Emma, 2"' in chart and "<Peace>" not in chart
    widths = [float(w) for w in re.findall(r'chart-bar" x="0" y="\d+" width="([\d.]+)"', chart)]
    assert widths[1] / widths[0] == pytest.approx(2 / 5, abs=0.01)
    report = room_report(poll_answers.sample_class(), bookshop.catalogue()["item_id"])
    drawn = poll_chart.rates(report.models, report.chance, report.k)
    for model in report.models:
        assert f"{model.name} {100 * model.rate:.0f} %, between {100 * model.low:.0f}" in drawn
    assert "style" not in drawn + chart


# ---- the QR code


def modules_of(svg: str) -> np.ndarray:
    """The dark modules of a drawn code, with its quiet zone: what a camera sees."""
    size = int(re.search(r'viewBox="0 0 (\d+) \1"', svg)[1])
    assert f'fill="#fff" d="M0 0h{size}v{size}h-{size}z"' in svg
    seen, x, y = np.zeros((size, size), bool), 0, 0.0
    path = re.search(r'stroke="#000" d="([^"]+)"', svg)[1]
    for kind, numbers in re.findall(r"([Mmh])([-\d. ]+)", path):
        values = [float(n) for n in re.findall(r"-?[\d.]+", numbers)]
        if kind == "h":
            seen[int(y), int(x) : int(x + values[0])] = True
            x += values[0]
        else:
            x, y = (values[0], values[1]) if kind == "M" else (x + values[0], y + values[1])
    return seen


MASKS = [
    lambda i, j: (i + j) % 2 == 0,
    lambda i, j: i % 2 == 0,
    lambda i, j: j % 3 == 0,
    lambda i, j: (i + j) % 3 == 0,
    lambda i, j: (i // 2 + j // 3) % 2 == 0,
    lambda i, j: i * j % 2 + i * j % 3 == 0,
    lambda i, j: (i * j % 2 + i * j % 3) % 2 == 0,
    lambda i, j: ((i + j) % 2 + i * j % 3) % 2 == 0,
]


def read_qr(dark: np.ndarray) -> tuple[str, str]:
    """Text and error correction level of a QR code of version 2 or 3 with one block (ISO/IEC 18004), without repair."""
    size = len(dark)
    level_bits = int("".join(str(int(b)) for b in dark[8, :5]), 2) ^ 0b10101
    level, mask = "MLHQ"[level_bits >> 3], MASKS[level_bits & 7]
    fixed = np.zeros_like(dark)
    fixed[:9, :9] = fixed[:9, -8:] = fixed[-8:, :9] = True  # finders and format
    fixed[6], fixed[:, 6] = True, True  # timing
    fixed[size - 9 : size - 4, size - 9 : size - 4] = True  # alignment
    bits, upwards = [], True
    for right in [*range(size - 1, 6, -2), *range(5, 0, -2)]:
        rows = range(size - 1, -1, -1) if upwards else range(size)
        bits += [dark[i, j] ^ mask(i, j) for i in rows for j in (right, right - 1) if not fixed[i, j]]
        upwards = not upwards
    stream = "".join(str(int(bit)) for bit in bits)
    assert stream[:4] == "0100", "one segment of bytes"
    length = int(stream[4:12], 2)
    return bytes(int(stream[12 + 8 * i : 20 + 8 * i], 2) for i in range(length)).decode(), level


def test_the_qr_code_reads_as_the_address_and_keeps_its_quiet_zone():
    address = "http://192.168.1.5:8001/?code=BCD234"
    svg = qr_svg(address)
    seen = modules_of(svg)
    inside = seen[4:-4, 4:-4]
    assert seen.sum() == inside.sum() and inside[0, 0] and inside[0, -1] and inside[-1, 0]  # four light modules around
    text, level = read_qr(inside)
    assert text == address
    assert level in "MQH"
    matrix = np.array([list(row) for row in segno.make(address, error="m", micro=False).matrix], bool)
    np.testing.assert_array_equal(inside, matrix)
    assert "<script" not in svg and "style" not in svg


@pytest.mark.parametrize("address", ["http://127.0.0.1:8001", "http://10.0.12.113:49152/?code=XYZ789"])
def test_other_addresses_read_back_too(address):
    assert read_qr(modules_of(qr_svg(address))[4:-4, 4:-4])[0] == address


# ---- over HTTP


class Phone(TestClient):
    """A client that keeps its cookies and sends forms as the page has them."""

    def pick(self, *items):
        return self.post("/answers", data={"pick": [str(i) for i in items]})


@pytest.fixture
def poll(tmp_path, catalogue):
    """A poll without a room code, and a way to make phones."""
    store = PollStore(tmp_path / "poll.sqlite", catalogue.ids)
    app = make_poll_app(store, catalogue, PollSettings("http://127.0.0.1:8001"))

    def phone(**headers):
        client = Phone(app, headers={"User-Agent": AGENT, **headers})
        client.get("/")
        return client

    yield SimpleNamespace(store=store, app=app, phone=phone, catalogue=catalogue)
    store.shut()


@pytest.fixture
def presenter(poll):
    client = Phone(poll.app)
    client.get("/presenter", params={"secret": poll.store.secrets.presenter})
    return client


def forms_of(page: str) -> list[dict]:
    """Forms of a page: where they go, their hidden fields and their buttons."""
    found = []
    for head, inside in re.findall(r"<form([^>]*)>(.*?)</form>", page, re.DOTALL):
        hidden = [(n, html.unescape(v)) for n, v in re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', inside)]
        buttons = re.findall(r'<button[^>]*?name="(\w+)" value="([^"]*)"', inside)
        action, method = re.search(r'action="([^"]*)"', head)[1], re.search(r'method="(\w+)"', head)[1]
        found.append({"action": action, "method": method, "hidden": hidden, "buttons": buttons})
    return found


def press(phone, page, name, value):
    """Press the button of a page by its name and value, as a browser without scripts does."""
    form = next(f for f in forms_of(page.text) if (name, str(value)) in f["buttons"])
    assert form["method"] == "get"
    return phone.get(form["action"] + "?" + urlencode([*form["hidden"], (name, value)]))


def test_five_books_without_scripts_from_the_search_to_the_thanks(poll):
    phone = poll.phone()
    page = phone.get("/", params={"q": "harry potter", "change": 1})
    names = [f["buttons"] for f in forms_of(page.text)][-2]
    ids = [int(value) for name, value in names if name == "add"][:6]
    assert len(ids) >= 6
    for item in ids[:5]:
        page = press(phone, page, "add", item)
        assert "add=" not in str(page.url)  # reloading adds nothing
    assert "5 of 5 picked" in page.text
    full = press(phone, page, "add", ids[5])
    assert "5 books are the most" in full.text
    page = press(phone, page, "out", ids[2])
    picks = [ids[0], ids[1], ids[3], ids[4]]
    assert parse_qs(urlsplit(str(page.url)).query)["pick"] == [str(i) for i in picks]
    (hand,) = [f for f in forms_of(page.text) if f["action"] == "/answers"]
    done = phone.post("/answers", data={"pick": [value for _, value in hand["hidden"]]})
    assert done.url.path == "/answers" and "Thank you" in done.text
    assert [poll.catalogue.get(i).title in html.unescape(done.text) for i in picks] == [True] * 4
    assert poll.store.events()["item_id"].tolist() == picks


def test_the_search_is_the_shops_and_forgives_a_slip(poll):
    assert "The Hobbit" in poll.phone().get("/", params={"q": "hobit tolkin"}).text


def test_enter_in_the_search_field_searches(poll):
    page = poll.phone().get("/", params={"q": "emma", "pick": [1, 2]})
    (search,) = re.findall(r'<form[^>]*role="search".*?</form>', page.text, re.DOTALL)
    assert search.index("<input class") < search.index("<button") and 'name="' not in search.split("<button")[1]


def test_with_htmx_the_same_page_comes_with_its_address(poll):
    phone = poll.phone(**{"HX-Request": "true"})
    answer = phone.get("/", params={"pick": 3, "add": 7, "q": "hobbit", "change": 1})
    assert answer.status_code == 200 and not answer.history
    assert answer.headers["HX-Push-Url"] == "/?pick=3&pick=7&q=hobbit&change=1"


def test_sent_twice_counts_once_and_sent_again_replaces(poll):
    phone = poll.phone()
    for _ in range(3):
        phone.pick(1, 2, 3)
    assert poll.store.count() == 1
    phone.pick(4)
    assert poll.store.events()["item_id"].tolist() == [4]
    assert phone.get("/").url.path == "/answers"
    again = phone.get(re.search(r'href="(/\?pick=[^"]*)"', phone.get("/answers").text)[1].replace("&amp;", "&"))
    assert "1 of 5 picked" in again.text


@pytest.mark.parametrize(
    ("picks", "words"),
    [
        ((), "at least one"),
        ((1, 2, 3, 4, 5, 6), "6 books"),
        ((1, 1), "twice"),
        ((1, 999_999), "not in the catalogue"),
        (("<script>alert(1)</script>",), "not in the catalogue"),
        (("9" * 400,), "not in the catalogue"),
        (("NaN", "1e3", "-1", "٣"), "not in the catalogue"),
    ],
)
def test_wrong_picks_are_told_on_the_page_and_keep_what_was_there(poll, picks, words):
    phone = poll.phone()
    phone.pick(10)
    answer = phone.pick(*picks)
    assert answer.status_code == 422 and words in answer.text and "<script>alert" not in answer.text
    assert poll.store.events()["item_id"].tolist() == [10]


def test_a_closed_poll_says_so_kindly(poll, presenter):
    early, late = poll.phone(), poll.phone()
    early.pick(1, 2)
    assert presenter.post("/presenter/close").status_code == 200
    for phone, words in ((early, "count as they are"), (late, "none of yours is in it")):
        refused = phone.pick(3)
        assert refused.status_code == 409 and "The poll is closed" in refused.text and words in refused.text
    assert "The poll is closed" in late.get("/").text
    assert "The poll is closed" in early.get("/").text and "Change my answers" not in early.get("/").text
    assert poll.store.events()["item_id"].tolist() == [1, 2]
    assert early.post("/delete").url.path == "/deleted"
    assert poll.store.count() == 0
    presenter.post("/presenter/reopen")
    assert late.pick(3).url.path == "/answers"


def test_deleting_gives_the_phone_a_new_name_and_can_be_done_twice(poll):
    phone = poll.phone()
    phone.pick(1, 2)
    before = phone.cookies[PHONE]
    assert "Deleted" in phone.post("/delete").text
    assert "Deleted" in phone.post("/delete").text
    assert phone.cookies[PHONE] != before and poll.store.count() == 0
    late = Phone(poll.app, cookies={PHONE: before})  # a retry that was on its way
    assert late.pick(1, 2).status_code == 410 and poll.store.count() == 0
    assert phone.pick(5).url.path == "/answers" and poll.store.count() == 1


def test_a_phone_without_cookies_is_told_and_counted_by_nobody(poll):
    answer = Phone(poll.app).pick(1, 2)
    assert answer.status_code == 400 and "cookie" in answer.text
    for forged in ("x", "a" * 42 + "é", "'" * 43, "a" * 5000):
        head = {"Cookie": f"{PHONE}={forged}".encode("latin-1", "replace")}
        assert Phone(poll.app, headers=head).pick(1, 2).status_code in (400, 413, 431)
    assert poll.store.count() == 0


def test_two_phones_do_not_see_or_change_each_other(poll):
    one, two = poll.phone(), poll.phone()
    one.pick(1)
    assert two.get("/answers").url.path == "/"
    two.post("/delete")
    two.pick(2)
    assert sorted(poll.store.events()["item_id"]) == [1, 2]


def test_cookies_cannot_be_read_by_scripts_and_do_not_cross_sites(poll):
    head = Phone(poll.app).get("/").headers["set-cookie"]
    assert "HttpOnly" in head and "SameSite=lax" in head and f"Max-Age={KEEP_S}" in head
    phone = poll.phone(Origin="http://elsewhere.example")
    assert phone.pick(1).status_code == 403 and phone.post("/delete").status_code == 403
    assert poll.phone(Origin="http://testserver").pick(1).status_code == 200


def test_hostile_queries_are_shown_as_text(poll):
    phone = poll.phone()
    for query in (
        "<script>alert(1)</script>",
        "\"'><img src=x onerror=alert(1)>",
        "{{7*7}}",
        "%00\x00",
        "a" * 3000,
        "ſ",
    ):
        page = phone.get("/", params={"q": query})
        assert page.status_code == 200
        assert "<script>alert" not in page.text and "<img src=x" not in page.text and "49" not in page.text[:200]
    assert phone.get("/", params={"pick": ["1"] * 300, "add": "2" * 99}).status_code == 200
    assert phone.get("/nothing/../../etc/passwd").status_code == 404


def test_pages_are_never_kept_and_run_no_script_of_others(poll):
    answer = poll.phone().get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy or "default-src 'self'" in policy
    assert "unsafe" not in policy and "no-store" in answer.headers["cache-control"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"(src|href)=\"(https?:)?//", answer.text) and "style=" not in answer.text


def test_what_is_too_large_too_long_or_too_fast_is_refused(poll):
    phone = poll.phone()
    assert phone.post("/answers", data={"pick": "1" * 20_000}).status_code == 413
    piece = ["pick=" + "1" * 9_000, "&pick=" + "2" * 9_000]  # without a length in front
    head = {"Content-Type": "application/x-www-form-urlencoded"}
    assert phone.post("/answers", content=(p.encode() for p in piece), headers=head).status_code == 413
    assert phone.get("/", params={"q": "a" * 5_000}).status_code == 414
    statuses = [phone.get("/answers", follow_redirects=False).status_code for _ in range(BURST + 30)]
    assert statuses[0] == 303 and statuses[-1] == 429
    assert poll.phone().get("/").status_code == 200  # another phone in the same room
    assert phone.get("/static/poll.css").status_code == 200
    assert poll.store.count() == 0


def test_what_is_no_form_is_refused(poll):
    phone = poll.phone()
    assert phone.post("/answers", files={"pick": b"1"}).status_code == 415
    assert phone.post("/answers", json={"pick": [1]}).status_code == 415
    assert poll.store.count() == 0


def test_a_form_that_does_not_arrive_is_given_up(poll):
    said = []

    async def receive():
        await asyncio.sleep(30)

    async def send(message):
        said.append(message)

    head = [(b"content-length", b"9"), (b"cookie", f"{PHONE}={'a' * 43}".encode())]
    head += [(b"content-type", b"application/x-www-form-urlencoded")]
    scope = {"type": "http", "method": "POST", "path": "/answers", "headers": head, "query_string": b""}
    scope |= {"http_version": "1.1", "scheme": "http", "server": ("x", 1), "client": ("y", 2), "root_path": ""}
    before = time.monotonic()
    poll.app.add_middleware(Guard, cookie=PHONE, body_s=0.05)
    asyncio.run(poll.app(scope, receive, send))
    assert said[0]["status"] == 408 and time.monotonic() - before < 10


def test_a_phone_may_ask_again_after_a_while():
    now = 0.0
    guard = Guard(None, PHONE, clock=lambda: now)
    ask = partial(guard._may_ask, f"{PHONE}=abc".encode())
    assert [ask() for _ in range(BURST + 1)] == [True] * BURST + [False]
    now = 1.0
    assert [ask() for _ in range(int(PER_S) + 1)] == [True] * int(PER_S) + [False]


# ---- the presenter


def test_phones_never_get_the_presenters_pages(poll, presenter):
    secret = poll.store.secrets.presenter
    phone = poll.phone()
    phone.pick(1, 2)
    for path in ("/presenter", "/presenter/count", "/presenter/room"):
        for params in ({}, {"secret": ""}, {"secret": "x" * 32}, {"secret": poll.store.secrets.room_code}):
            answer = phone.get(path, params=params)
            assert answer.status_code == 403 and "Close the poll" not in answer.text
    for action in ("close", "reopen", "anything"):
        assert phone.post(f"/presenter/{action}", data={"secret": secret}).status_code == 403
    phone.cookies.set(PRESENTER, "guess")
    assert phone.post("/presenter/close").status_code == 403
    assert poll.store.is_open
    for path in ("/", "/answers", "/deleted"):
        assert secret not in phone.get(path).text
    foreign = presenter.post("/presenter/close", headers={"Origin": "http://elsewhere.example"})
    assert foreign.status_code == 403 and poll.store.is_open


def test_the_secret_leaves_the_address_bar_before_it_is_projected(poll):
    client = Phone(poll.app)
    first = client.get("/presenter", params={"secret": poll.store.secrets.presenter}, follow_redirects=False)
    assert first.status_code == 303 and first.headers["location"] == "/presenter"
    assert "SameSite=strict" in first.headers["set-cookie"] and "HttpOnly" in first.headers["set-cookie"]
    page = client.get("/presenter")
    assert page.status_code == 200 and poll.store.secrets.presenter not in page.text
    assert poll.store.question in page.text and "127.0.0.1:8001" in page.text


def test_the_count_is_live(poll, presenter):
    assert ">0<" in presenter.get("/presenter/count").text
    poll.phone().pick(1)
    fragment = presenter.get("/presenter/count").text
    assert ">1<" in fragment and "has answered" in fragment and 'hx-trigger="every 2s"' in fragment


def test_the_room_is_shown_and_follows_the_answers(poll, presenter):
    assert "Nobody has answered yet" in presenter.get("/presenter/room").text
    phones = [poll.phone() for _ in range(4)]
    for phone in phones:
        phone.pick(7, 8, 9)
    page = html.unescape(presenter.get("/presenter/room").text)
    assert "4 people picked 3 different books" in page and "4 of 4" in page and "too few to rank" in page
    assert f"How many people picked each book: {poll.catalogue.get(7).title}, 4" in page
    phones[0].post("/delete")
    assert "3 people picked" in presenter.get("/presenter/room").text


def test_the_shops_model_joins_when_it_is_ready_and_its_failure_is_told(tmp_path, catalogue):
    ready = threading.Event()
    shop = SequentialRules().fit(Sessions.from_lists([[7, 8, 9]] * 3))

    def slow():
        assert ready.wait(20)
        return shop, ""

    def broken():
        raise OSError("no space <left>")

    for number, (gru, words) in enumerate(((slow, "learned from the shop"), (broken, "no space &lt;left&gt;"))):
        store = PollStore(tmp_path / f"{number}.sqlite", catalogue.ids)
        client = Phone(make_poll_app(store, catalogue, PollSettings("http://127.0.0.1:8001", gru=gru)))
        client.get("/presenter", params={"secret": store.secrets.presenter})
        client.get("/")
        client.pick(7, 8, 9)
        if gru is slow:
            waiting = client.get("/presenter/room").text
            assert "being made ready" in waiting and words not in waiting and 'hx-trigger="every 4s"' in waiting
            ready.set()
        end = time.monotonic() + 20
        while words not in (page := client.get("/presenter/room").text) and time.monotonic() < end:
            time.sleep(0.05)
        assert words in page and "being made ready" not in page
        store.shut()


# ---- the room's code


@pytest.fixture
def coded(tmp_path, catalogue):
    store = PollStore(tmp_path / "coded.sqlite", catalogue.ids)
    code = store.secrets.room_code
    app = make_poll_app(store, catalogue, PollSettings("http://192.168.1.5:8001", code))
    yield SimpleNamespace(store=store, app=app, code=code)
    store.shut()


def test_without_the_code_no_answer_is_taken(coded):
    phone = Phone(coded.app)
    for answer in (phone.get("/"), phone.get("/?code=WRONG2"), phone.get("/answers"), phone.pick(1)):
        assert answer.status_code == 403 and "Find a book" not in answer.text
    assert coded.code not in phone.get("/").text
    phone.cookies.set(ROOM, "WRONG2")
    assert phone.pick(1).status_code == 403 and coded.store.count() == 0


def test_the_qr_address_lets_a_phone_in_and_hides_the_code_again(coded):
    phone = Phone(coded.app)
    first = phone.get(f"/?code={coded.code.lower()}", follow_redirects=False)
    assert first.status_code == 303 and first.headers["location"] == "/"
    assert "Find a book" in phone.get("/").text
    assert phone.pick(1).url.path == "/answers"
    presenter = Phone(coded.app)
    presenter.get("/presenter", params={"secret": coded.store.secrets.presenter})
    page = presenter.get("/presenter").text
    assert f'aria-label="QR code of http://192.168.1.5:8001/?code={coded.code}"' in page
    assert coded.code in page and "192.168.1.5:8001" in page


# ---- a real server


def body(*items) -> str:
    return urlencode([("pick", item) for item in items])


def test_a_hundred_phones_at_once_all_count_and_none_twice(tmp_path, record_property):
    server = Server(tmp_path / "poll.sqlite")
    rng = np.random.default_rng(3)
    wishes = [rng.choice(np.arange(1, 1209), 5, replace=False).tolist() for _ in range(100)]
    start, seconds, wrong = threading.Barrier(100), [], []

    def phone(picks):
        try:
            start.wait()
            steps = [("GET", "/", None), ("GET", "/?q=potter&change=1", None)]
            steps += [("POST", "/answers", body(*picks))] * 2 + [("GET", "/answers", None)]  # a double tap
            cookie = None
            for method, path, sent in steps:
                before = time.perf_counter()
                status, _, given = server.ask(method, path, sent, cookie)
                seconds.append(time.perf_counter() - before)
                cookie = cookie or given
                if status not in (200, 303):
                    wrong.append((path, status))
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=phone, args=(picks,)) for picks in wishes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    server.end()
    assert wrong == []
    log = datasets.load(f"poll:{tmp_path / 'poll.sqlite'}").events
    taken = log.groupby("session_id")["item_id"].apply(list)
    assert sorted(taken) == sorted(wishes)  # every answer, once, in its order
    p99 = float(np.quantile(seconds, 0.99))
    record_property("p99_ms", round(1000 * p99))
    print(f"100 phones, {len(seconds)} requests: p50 {1000 * np.median(seconds):.0f} ms, p99 {1000 * p99:.0f} ms")
    assert p99 < 20


def test_killed_in_the_middle_the_poll_goes_on_and_has_lost_nothing(tmp_path):
    file = tmp_path / "poll.sqlite"
    server = Server(file)
    acknowledged, cookies = {}, {}

    def phone(number):
        try:
            cookie = server.ask("GET", "/")[2]
            cookies[number] = cookie
            for turn in range(200):
                picks = (1 + number, 100 + turn)
                if server.ask("POST", "/answers", body(*picks), cookie, 5)[0] == 303:
                    acknowledged[number] = turn
        except (OSError, http.client.HTTPException):
            pass  # killed

    threads = [threading.Thread(target=phone, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    while (len(acknowledged) < 8 or sum(acknowledged.values()) < 60) and time.monotonic() < end:
        time.sleep(0.01)
    server.end(signal.SIGKILL)
    for thread in threads:
        thread.join(20)
    assert len(acknowledged) == 8
    secrets = json.loads((tmp_path / "poll.sqlite.key").read_text())
    again = Server(file)
    events = datasets.load(f"poll:{file}").events
    first = events[events["order"] == 1].set_index("session_id")["item_id"]
    second = events[events["order"] == 2].set_index("session_id")["item_id"]
    turns = {int(first[person]) - 1: int(second[person]) - 100 for person in first.index}
    # the last one sent may be in it without its answer having arrived
    assert {n: turns[n] - turn in (0, 1) for n, turn in acknowledged.items()} == dict.fromkeys(range(8), True)
    assert json.loads((tmp_path / "poll.sqlite.key").read_text()) == secrets
    assert again.ask("POST", "/answers", body(500), cookies[0])[0] == 303  # the phone is still known
    assert again.ask("POST", "/delete", None, cookies[1])[0] == 303
    assert datasets.load(f"poll:{file}").events["session_id"].nunique() == 7
    again.end()


def test_nothing_about_a_phone_is_kept_or_logged(tmp_path, capsys):
    file = tmp_path / "poll.sqlite"
    server = Server(file)
    cookie = server.ask("GET", "/")[2]
    assert server.ask("POST", "/answers", body(3, 4), cookie)[0] == 303
    assert server.ask("GET", "/nowhere?q=private-words", None, cookie)[0] == 404
    assert server.ask("POST", "/answers", "pick=%ff%fe", cookie)[0] in (400, 422)
    secret = server.presenter.split("=")[1]
    slow_and_broken_connections(server)
    a_taken_port_and_a_second_poll_say_what_to_do(server, file, capsys)
    server.end()
    said = server.said().replace(secret, "")  # what is printed once, at the start, for the presenter
    assert "The poll has ended; 1 person answered" in said
    everything = bytes_beside(file).decode("latin-1") + said
    for trace in (AGENT, "OddPhone", "secret.example", "private-words", cookie, "/nowhere", "GET ", "POST "):
        assert trace not in everything
    kept = file.read_bytes()
    assert b"127.0.0.1" not in kept and socket.inet_aton("127.0.0.1") not in kept
    assert "Traceback" not in said


def slow_and_broken_connections(server):
    """A form that never arrives, one that is broken off, and what is no HTTP: the poll goes on."""
    head = b"POST /answers HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\npick="
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(50)]
    for connection in slow:
        connection.sendall(head)
    for text in (b"\x00\xff\x16\x03\x01", b"GET / HTTP/1.1\r\n" + b"a: " + b"b" * 100_000, b"POST / HTTP/9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port)) as connection, contextlib.suppress(OSError):
            connection.sendall(text)
    assert server.ask("GET", "/healthz")[0] == 200
    for connection in slow:
        connection.close()


def a_taken_port_and_a_second_poll_say_what_to_do(server, file, capsys):
    common = ["poll", "--no-browser", "--file"]
    other = file.with_name("other.sqlite")
    assert cli.main([*common, str(other), "--port", str(server.port)]) == 2
    assert f"--port {server.port + 1}" in capsys.readouterr().err and not other.exists()
    assert cli.main([*common, str(file), "--port", "0"]) == 2
    assert "another poll is running" in capsys.readouterr().err


# ---- the command


def cli_poll(*words) -> int:
    """Run the command itself, so that errors are seen as they are raised."""
    options = cli.build_parser().parse_args(["poll", *map(str, words)])
    return options.run(options)


@pytest.fixture
def no_gru(monkeypatch):
    monkeypatch.setattr(poll_command, "session_model", lambda say=print: (None, "not in this test"))


def test_the_report_of_a_file_and_of_the_sample(room_file, capsys, no_gru):
    assert cli_poll("--report", room_file) == 0
    text = capsys.readouterr().out
    assert text.startswith("24 people picked") and "too few to rank" in text and "not in this test" in text
    assert max(map(len, text.splitlines())) <= 110
    assert cli_poll("--report", "--sample") == 0
    assert "30 people (SIMULATED)" in capsys.readouterr().out
    text.encode("utf-8")
    report = room_report(poll_answers.sample_class(), bookshop.catalogue()["item_id"])
    titles = bookshop.catalogue().set_index("item_id")["title"]
    poll_text.as_text(report, titles, encoding="ascii").encode("ascii")


@pytest.mark.parametrize(
    "words", [["--sample", "--file", "x"], ["--sample", "--report", "x"], ["--report", "nothing.sqlite"]]
)
def test_words_that_do_not_go_together_are_refused(words, tmp_path, monkeypatch, no_gru):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="Fix"):
        cli_poll(*words)


def test_what_is_printed_says_who_can_come_in(tmp_path, catalogue):
    store = PollStore(tmp_path / "p.sqlite", catalogue.ids)
    alone = "\n".join(poll_run.announcement(PollSettings("http://127.0.0.1:1"), "URL", store))
    assert "only this machine" in alone and store.secrets.room_code not in alone
    lan = PollSettings("http://192.168.1.5:1", store.secrets.room_code)
    open_to_all = "\n".join(poll_run.announcement(lan, "URL", store))
    assert "Everybody in this network" in open_to_all and store.secrets.room_code in open_to_all
    assert "SIMULATED" not in alone
    store.shut()


@pytest.mark.parametrize(
    ("host", "alone"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("192.168.1.5", False),
        ("pc", False),
    ],
)
def test_a_code_is_asked_for_wherever_others_can_reach_the_poll(host, alone):
    assert network.is_loopback(host) is alone


@pytest.mark.parametrize("host", ["192.0.2.77", "no-such-machine.invalid"])
def test_an_address_that_is_not_this_machines_is_told(host):
    with pytest.raises(OSError, match="Fix: --lan"):
        network.listen(host, 0)
    with pytest.raises(ValueError, match="65535"):
        network.listen("127.0.0.1", 70_000)


def test_the_port_that_is_advised_is_free():
    with network.listen("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="Fix: --port") as error:
            network.listen("127.0.0.1", port)
        advised = int(str(error.value).rpartition(" ")[2])
        with network.listen("127.0.0.1", advised) as listener:
            assert advised != port and listener.getsockname()[1] == advised


def test_the_simulated_class_runs_in_a_file_that_goes_away(catalogue):
    with poll_run.opened("never", catalogue.ids, SimpleNamespace(sample=True, question=None)) as store:
        assert store.count() == 30 and store.simulated
        assert datasets.load(f"poll:{store.path}").simulated
        path = store.path
    assert not path.exists()
