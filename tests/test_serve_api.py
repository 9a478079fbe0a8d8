"""The web service in-process: routes, outcomes, errors, limits, who is let in, and what happens when parts fail."""

import importlib
import json
import threading
import time

import pytest
import tiny_shop
from starlette.testclient import TestClient
from tiny_shop import N_BOOKS, NASTY, NOW, open_shop

from recsys_lab.serve.api import MOST_BODY, ServeSettings, make_app
from recsys_lab.serve.memory import SECOND, StoreError, open_store

ADDRESS = "http://localhost:8000"
ROUTES = {"/events", "/recommendations", "/items", "/items/{item_id}", "/users/{user_id}"}
ROUTES |= {"/healthz", "/readyz", "/metrics"}


@pytest.fixture
def serve():
    """Makes clients of a shop's service; closes all."""
    opened = []

    def make(shop=None, **settings):
        shop = shop or open_shop()
        client = TestClient(make_app(shop, ServeSettings(**settings)), base_url=ADDRESS, raise_server_exceptions=False)
        opened.append(shop)
        return client

    yield make
    for shop in opened:
        shop.close()


@pytest.fixture
def client(serve):
    return serve()


def post(client, *items, session="s", **more):
    """Outcomes of views."""
    answer = client.post("/events", json=[{"session_id": session, "item_id": i, **more} for i in items])
    assert answer.status_code == 200, answer.text
    return answer.json()["outcomes"]


def listed(client, session="s", **params):
    answer = client.get("/recommendations", params={"session_id": session, **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(answer, status, *words):
    """Check that an answer is an error in the one shape; gives its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body.keys() - {"errors"} == {"type", "title", "status", "detail"}
    assert body["status"] == status and body["type"] == "about:blank"
    assert body["title"] and body["detail"]
    for word in words:
        assert word in answer.text
    return body


# ---- routes -------------------------------------------------------------------------------------------------------


def test_a_click_moves_the_list(client):
    before = listed(client)
    assert before["source"] == "popular" and not before["degraded"] and len(before["items"]) == 10
    assert post(client, 7) == ["stored"]
    after = listed(client)
    assert after["source"] == "session" and not after["degraded"]
    ids = [row["item_id"] for row in after["items"]]
    assert ids != [row["item_id"] for row in before["items"]] and 7 not in ids and len(set(ids)) == 10
    assert after["items"][0]["title"] == f"Book {ids[0]} of the sea"
    assert {row["because"] for row in after["items"]} <= {7, None}
    assert after["version"] == "unsaved" and after["milliseconds"] > 0 and after["why"]


def test_two_visits_do_not_see_each_other(client):
    post(client, 7, session="a")
    assert listed(client, "b")["source"] == "popular"


def test_what_is_in_the_basket_or_was_seen_is_not_listed(client):
    wanted = [row["item_id"] for row in listed(client, k=5)["items"]]
    post(client, *wanted[:2], event="cart")
    post(client, wanted[2])
    assert not {row["item_id"] for row in listed(client, k=100)["items"]} & set(wanted[:3])


def test_a_reader_is_known_before_the_first_click(client):
    assert listed(client, user_id="3")["source"] == "user"
    for unknown in ("99999", "no number", "-5"):
        answer = listed(client, user_id=unknown)
        assert answer["source"] == "popular" and not answer["degraded"]
    post(client, 7, session="r", user_id=3)
    page = client.get("/users/3").json()
    assert page["user_id"] == 3 and page["segment"] >= 1 and page["genres"]
    assert page["history"][0]["item_id"] == 7 and page["history"][0]["event"] == "view"
    times = [row["timestamp"] for row in page["history"]]
    assert times == sorted(times, reverse=True) and len(times) > 1


def test_a_reader_of_this_shop_only_has_a_page(client):
    refused(client.get("/users/700"), 404)
    post(client, 7, user_id=700)
    page = client.get("/users/700").json()
    assert page["segment"] is None and [row["item_id"] for row in page["history"]] == [7]


def test_items_are_found_and_shown(client):
    hits = client.get("/items", params={"q": "bock 17 of the sea"}).json()["items"]
    assert hits[0]["item_id"] == 17 and hits[0]["available"] is True
    assert client.get("/items").json() == {"items": []}
    assert len(client.get("/items", params={"q": "book", "limit": 3}).json()["items"]) == 3
    page = client.get("/items/17").json()
    assert page["item"]["author"] == "Writer 17" and page["item"]["year"] == 1967
    assert page["related"]["source"] == "related" and 17 not in [r["item_id"] for r in page["related"]["items"]]
    assert page["bought_together"]["source"] == "together"
    bare = client.get(f"/items/{N_BOOKS - 1}").json()["item"]
    assert bare["price"] is None and bare["year"] is None
    assert client.get(f"/items/{N_BOOKS}").json()["item"]["title"] == NASTY


@pytest.mark.parametrize("number", ["0", "-1", "121", "9" * 40, "x", "%00", "..%2f..%2fetc%2fpasswd", "1.0", "٣"])
def test_what_is_not_there_is_404(client, number):
    refused(client.get(f"/items/{number}"), 404)
    refused(client.get(f"/users/{number}"), 404)


def test_state(client):
    assert client.get("/healthz").json() == {"status": "ok", "version": "unsaved"}
    assert client.get("/readyz").json() == {"status": "ready", "version": "unsaved"}


def test_every_route_is_described(client):
    text = client.get("/openapi.json").json()
    assert set(text["paths"]) == ROUTES
    for path in text["paths"].values():
        for operation in path.values():
            assert {"200", "422", "503"} <= set(operation["responses"])
            for status, answer in operation["responses"].items():
                kinds = set(answer["content"])
                assert kinds == {"application/problem+json"} if status != "200" else len(kinds) == 1
    assert "HTTPValidationError" not in json.dumps(text)


# ---- outcomes -----------------------------------------------------------------------------------------------------


def stamp(seconds):
    """ISO time so many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(NOW // SECOND + seconds))


def test_outcomes(client):
    event = {"session_id": "s", "item_id": 7, "event_id": "e1", "timestamp": stamp(0)}
    batch = [
        event,
        event,
        {**event, "item_id": 8},
        {**event, "event_id": "e2", "timestamp": stamp(-90_000)},
        {**event, "event_id": "e3", "timestamp": stamp(400)},
        {**event, "event_id": "e4", "item_id": 5_000},
        {**event, "event_id": "e5", "item_id": "of another shop"},
        {**event, "event_id": "e6", "item_id": 9, "timestamp": stamp(-60)},
    ]
    wanted = ["stored", "duplicate", "conflict", "late", "future", "unknown_item", "unknown_item", "stored"]
    assert client.post("/events", json=batch).json() == {"outcomes": wanted}
    assert client.post("/events", json=event).json() == {"outcomes": ["duplicate"]}
    # the earlier one is sorted before: the list is the one after 9, 7
    other = post(client, 9, session="t", timestamp=stamp(-60)) + post(client, 7, session="t", timestamp=stamp(0))
    assert other == ["stored", "stored"]
    assert listed(client)["items"] == listed(client, "t")["items"]


def test_a_duplicate_without_a_time_is_one_event(serve):
    ticks = iter(range(NOW, NOW + 100 * SECOND, SECOND))
    client = serve(open_shop(clock=lambda: next(ticks)))
    event = {"session_id": "s", "item_id": 7, "event_id": "e1"}
    outcomes = [client.post("/events", json=event).json()["outcomes"][0] for _ in range(2)]
    assert outcomes == ["stored", "duplicate"]


def test_a_session_has_an_end(serve):
    client = serve(open_shop(open_store(None, session_limit=3)))
    assert post(client, 1, 2, 3, 4) == ["stored"] * 3 + ["full"]
    assert post(client, 1, session="t") == ["stored"]


def test_a_batch_is_one_transaction(client):
    good, bad = {"session_id": "s", "item_id": 7}, {"session_id": "s", "item_id": 7, "event": "steal"}
    refused(client.post("/events", json=[good, bad]), 422, "event")
    assert listed(client)["source"] == "popular"


def test_the_size_of_a_batch_is_limited(client):
    event = {"session_id": "s", "item_id": 7}
    assert client.post("/events", json=[event] * 500).json()["outcomes"] == ["stored"] * 500
    refused(client.post("/events", json=[event] * 501), 422)
    refused(client.post("/events", json=[]), 422)


# ---- errors and limits --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"session_id": ""}, "session_id"),
        ({"session_id": "a b"}, "session_id"),
        ({"session_id": "s\n"}, "session_id"),
        ({"session_id": "x" * 65}, "session_id"),
        ({"session_id": 5}, "session_id"),
        ({"item_id": None}, "item_id"),
        ({"item_id": True}, "item_id"),
        ({"item_id": 1.5}, "item_id"),
        ({"item_id": 1e300}, "item_id"),
        ({"item_id": [1]}, "item_id"),
        ({"item_id": 2**63}, "item_id"),
        ({"item_id": ""}, "item_id"),
        ({"item_id": "x" * 65}, "item_id"),
        ({"item_id": "a\u0000b"}, "item_id"),
        ({"event": "VIEW"}, "event"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"timestamp": "2026-01-01T00:00:00"}, "timestamp"),
        ({"timestamp": "1960-01-01T00:00:00Z"}, "timestamp"),
        ({"timestamp": "9999-12-31T23:59:59Z"}, "timestamp"),
        ({"event_id": ""}, "event_id"),
        ({"event_id": "é"}, "event_id"),
        ({"user_id": {}}, "user_id"),
        ({"price": 3}, "price"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(client, change, field):
    body = refused(client.post("/events", json={"session_id": "s", "item_id": 7} | change), 422, field)
    assert {e["field"] for e in body.get("errors", [])} <= {f"body.{field}"}
    assert listed(client)["source"] == "popular"


def test_a_missing_field_is_named(client):
    refused(client.post("/events", json={"item_id": 7}), 422, "session_id")


@pytest.mark.parametrize("k", ["0", "101", "-1", "x", "1e2", "", "9" * 5_0])
def test_k_is_limited(client, k):
    refused(client.get("/recommendations", params={"session_id": "s", "k": k}), 422, "k")


def test_the_largest_list(client):
    assert len(listed(client, k=1)["items"]) == 1
    assert len(listed(client, k=100)["items"]) == 100


def test_errors_have_one_shape(client):
    refused(client.get("/nothing"), 404)
    refused(client.get("/events"), 405)
    refused(client.delete("/items"), 405)
    refused(client.get("/recommendations"), 422, "session_id")
    refused(client.post("/events", content=b"{", headers={"content-type": "application/json"}), 400)
    refused(client.get("/items", params={"q": "x" * 2001}), 422, "q")
    refused(client.get("/items", params={"q": "x" * 5000}), 414)


def test_a_body_is_limited(client):
    head = {"content-type": "application/json"}
    refused(client.post("/events", content=b" " * (MOST_BODY + 1), headers=head), 413)
    pieces = (b" " * 65_536 for _ in range(MOST_BODY // 65_536 + 1))  # without a length
    refused(client.post("/events", content=pieces, headers=head), 413)
    fits = json.dumps({"session_id": "s", "item_id": 7}).encode().ljust(MOST_BODY)
    assert client.post("/events", content=fits, headers=head).status_code == 200


def test_one_visitor_is_slowed_down_and_others_are_not(serve):
    first = serve(allowance=(5, 0.001), shared=(3, 0.001))
    statuses = [first.get("/healthz").status_code for _ in range(8)]  # the first answer brings the cookie
    assert statuses == [200] * 6 + [429] * 2
    answer = first.get("/healthz")
    refused(answer, 429)
    assert int(answer.headers["retry-after"]) > 0
    other = TestClient(first.app, base_url=ADDRESS, cookies={"visitor": "y" * 20})
    assert other.get("/healthz").status_code == 200
    nobody = [TestClient(first.app, base_url=ADDRESS).get("/healthz").status_code for _ in range(3)]
    assert nobody == [200, 200, 429]


# ---- who is let in ------------------------------------------------------------------------------------------------


def test_the_visitor_gets_a_random_cookie_that_scripts_cannot_read(client):
    given = client.get("/healthz").headers["set-cookie"]
    assert given.startswith("visitor=") and "HttpOnly" in given and "SameSite=Lax" in given and "Path=/" in given
    assert "set-cookie" not in client.get("/healthz").headers  # known now
    other = TestClient(client.app, base_url=ADDRESS)
    assert other.get("/healthz").headers["set-cookie"] != given
    short = TestClient(client.app, base_url=ADDRESS, cookies={"visitor": "x"})
    assert "set-cookie" in short.get("/healthz").headers  # one that was not given here


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil", "", "[", "0.0.0.0"])
def test_another_host_is_refused(client, host):
    refused(client.get("/healthz", headers={"host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "[::1]:8000"])
def test_this_host_is_let_in(client, host):
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": ADDRESS}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:9000"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[bad"}, 403),
        ({"origin": ""}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": ADDRESS, "sec-fetch-site": "cross-site"}, 403),
    ],
)
def test_a_page_elsewhere_cannot_change_anything(client, headers, status):
    answer = client.post("/events", json={"session_id": "s", "item_id": 7}, headers=headers)
    assert answer.status_code == status, answer.text
    assert listed(client)["source"] == ("session" if status == 200 else "popular")
    assert client.get("/healthz", headers=headers).status_code == 200  # a link from elsewhere may come here


# ---- room code ----------------------------------------------------------------------------------------------------

CODE = "QXZ7K2"


@pytest.fixture
def room(serve):
    return serve(hosts=(), room_code=CODE)


def test_nothing_is_shown_without_the_code(room):
    for path in ("/", "/items?q=book", "/recommendations?session_id=s", "/metrics", "/openapi.json", "/users/3"):
        refused(room.get(path), 403, "room code")
    refused(room.post("/events", json={"session_id": "s", "item_id": 7}), 403)
    page = room.get("/books/3?room=nope", headers={"accept": "text/html"})
    assert page.status_code == 403 and "That was not the code" in page.text and CODE not in page.text
    assert room.get("/healthz").status_code == 200
    assert room.get("/static/shop.css").status_code == 200


def test_the_code_opens_by_header_query_and_cookie(room):
    head = {"x-room-code": CODE}
    assert room.get("/items?q=book", headers=head).status_code == 200
    refused(room.get("/items?q=book"), 403)
    refused(room.get("/items?q=book", headers={"x-room-code": CODE[:-1]}), 403)
    came = room.get(f"/items?q=book&room={CODE.lower()}", follow_redirects=False)
    assert came.status_code == 303 and "room=" not in came.headers["location"]
    assert came.headers["location"] == "/items?q=book"
    cookie = came.headers["set-cookie"]
    assert CODE not in cookie and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert room.get("/items?q=book").status_code == 200  # by the cookie now
    assert room.get("/items?q=book", headers={"host": "some.name.local"}).status_code == 200
    refused(TestClient(room.app, base_url=ADDRESS, cookies={"room": CODE}).get("/items"), 403)


@pytest.mark.parametrize("cookie", ["é" * 5, "\x80", "x" * 5000, ""])
def test_strange_cookies_are_no_code(room, cookie):
    refused(room.get("/items", headers={"cookie": b"room=" + cookie.encode()}), 403)


def test_the_redirect_stays_here(room):
    for path in ("//evil.example/x", "/%5Cevil.example/x", "///evil.example", "/%2F/evil.example"):
        came = TestClient(room.app, base_url=ADDRESS).get(f"{ADDRESS}{path}?room={CODE}", follow_redirects=False)
        assert came.status_code == 303 and came.headers["location"].startswith("/evil.example")


def test_the_code_cannot_be_read_from_the_clock(room, monkeypatch):
    """All comparisons with the code and the pass go through `compare_digest`."""
    door, asked = importlib.import_module("recsys_lab.serve.door"), []
    real = door.hmac.compare_digest
    monkeypatch.setattr(door.hmac, "compare_digest", lambda a, b: asked.append((a, b)) or real(a, b))
    room.get("/items", headers={"x-room-code": "AAAAAA"})
    room.get("/items?room=AAAAAA")
    assert sum(a == b"AAAAAA" and b == CODE.encode() for a, b in asked) == 2


# ---- headers and numbers ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/healthz", "/nothing", "/", "/items/7", "/static/shop.css", "/recommendations"])
def test_every_answer_has_the_headers(client, path):
    head = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in head["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'" and policy["base-uri"] == "'none'"
    assert policy["frame-ancestors"] == "'none'" and "unsafe" not in head["content-security-policy"]
    assert head["x-content-type-options"] == "nosniff" and head["referrer-policy"] == "same-origin"
    assert head["cache-control"] == ("max-age=3600" if "static" in path else "no-store")


def test_numbers(client):
    post(client, 7, 8)
    post(client, 7_000)
    listed(client)
    client.get("/items/7")
    client.get("/items/8")
    client.get("/secret-path-of-nobody")
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    lines = dict(line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#"))
    assert lines['shop_events_total{outcome="stored"}'] == "2.0"
    assert lines['shop_events_total{outcome="unknown_item"}'] == "1.0"
    assert lines['shop_lists_total{degraded="false",source="session"}'] == "1.0"
    assert lines['shop_requests_total{route="/items/{item_id}",status="200"}'] == "2.0"
    assert lines['shop_requests_total{route="other",status="404"}'] == "1.0"
    assert lines['shop_request_seconds_count{route="/events"}'] == "2.0"
    assert "secret-path" not in answer.text and "session_id" not in answer.text


def test_what_is_refused_at_the_door_is_counted(serve):
    client = serve(allowance=(2, 0.001))
    [client.get("/healthz") for _ in range(4)]
    client.get("/healthz", headers={"host": "evil.example"})
    room = TestClient(client.app, base_url=ADDRESS)
    text = room.get("/metrics").text
    assert 'shop_requests_total{route="other",status="429"}' in text


# ---- what breaks --------------------------------------------------------------------------------------------------


class Broken:
    """A store of which some methods fail."""

    def __init__(self, *methods):
        self.inner, self.methods = open_store(None), set(methods)

    def __getattr__(self, name):
        if name in self.methods:
            return self._fail
        return getattr(self.inner, name)

    def _fail(self, *args, **kwargs):
        raise StoreError("session memory: the disk at /secret/place is full. Fix: free some.")


def test_a_memory_that_cannot_be_read_gives_popular_lists(serve):
    client = serve(open_shop(Broken("session", "trending", "user_events", "ready")))
    answer = listed(client)
    assert answer["source"] == "popular" and answer["degraded"] and len(answer["items"]) == 10
    assert "memory" in answer["why"]
    assert client.get("/users/3").status_code == 200
    assert client.get("/", headers={"accept": "text/html"}).status_code == 200
    refused(client.get("/readyz"), 503)
    assert client.get("/healthz").status_code == 200


def test_a_memory_that_cannot_be_written_acknowledges_nothing(serve):
    shop = open_shop(Broken("append"))
    client = serve(shop)
    answer = client.post("/events", json={"session_id": "s", "item_id": 7})
    refused(answer, 503, "Nothing was acknowledged")
    assert "/secret" not in answer.text and answer.headers["retry-after"]
    assert "shop_events_total{" not in client.get("/metrics").text  # nothing was counted either
    shop.store.methods.clear()
    assert post(client, 7) == ["stored"]


def test_the_reason_why_it_is_not_ready_names_no_place(serve):
    client = serve(open_shop(Broken("ready")))
    answer = client.get("/readyz")
    refused(answer, 503)
    assert "/secret" not in answer.text


class Bad:
    """A source that fails or hangs."""

    def __init__(self, inner, how):
        self.model, self.how, self.go = inner.model, how, threading.Event()

    def best(self, *args):
        if self.how == "raises":
            raise RuntimeError("no")
        self.go.wait(20)
        return [], []


@pytest.mark.parametrize("how", ["raises", "hangs", "missing"])
@pytest.mark.parametrize("who", ["both", "session"])
def test_a_model_that_fails_never_breaks_a_page(serve, how, who):
    shop = open_shop(budget_ms=400 if how == "hangs" else 5_000)
    retriever, bad = shop.retriever, []
    for role in ("session", "neighbours") if who == "both" else ("session",):
        if how == "missing":
            retriever.bundle = tiny_shop.Bundle({**retriever.bundle.models}, shop.catalogue, retriever.bundle.history)
        else:
            bad.append(retriever.sources.__setitem__(role, Bad(retriever.sources[role], how)))
    if how == "missing":
        for role in ("session", "neighbours") if who == "both" else ("session",):
            del retriever.bundle.models[role]
    client = serve(shop)
    post(client, 7)
    start = time.monotonic()
    answer = listed(client)
    assert time.monotonic() - start < 3
    assert answer["degraded"] and len(answer["items"]) == 10
    assert answer["source"] == ("popular" if who == "both" else "neighbours")
    assert client.get("/", headers={"accept": "text/html"}).status_code == 200
    refused(client.get("/readyz"), 503)
    for source in retriever.sources.values():
        if isinstance(source, Bad):
            source.go.set()


def test_an_error_of_the_service_says_nothing_of_itself(serve):
    shop = open_shop()
    shop.search = lambda *args: 1 / 0
    answer = serve(shop).get("/items", params={"q": "x"})
    refused(answer, 500)
    assert "division" not in answer.text and "Traceback" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


# ---- against the description --------------------------------------------------------------------------------------


def test_the_description_is_kept(serve):
    """Made-up requests, valid and not: no 5xx, no answer that the OpenAPI description does not know."""
    schemathesis = pytest.importorskip("schemathesis")
    hypothesis = pytest.importorskip("hypothesis")
    app = serve(shared=(10**6, 1e6), allowance=(10**6, 1e6)).app
    description = schemathesis.openapi.from_asgi("/openapi.json", app, headers={"host": "localhost"})
    # ids have to be printable, and times to lie in the range of 64 bits: a JSON schema cannot say so
    left_out = [schemathesis.checks.load_all_checks() or schemathesis.checks.CHECKS.get_one("positive_data_acceptance")]
    end, tried = time.monotonic() + 15, set()
    for result in description.get_all_operations():
        operation = result.ok()

        @hypothesis.settings(max_examples=40, deadline=None, database=None, derandomize=True,
                             suppress_health_check=list(hypothesis.HealthCheck))  # fmt: skip
        @hypothesis.given(case=operation.as_strategy())
        def check(case):
            if time.monotonic() < end:
                tried.add(case.operation.path)
                case.call_and_validate(headers={"host": "localhost"}, excluded_checks=left_out)

        check()
    assert tried == ROUTES
