"""What a network may send: no answer is a 5xx, nothing hangs, and the service still answers afterwards."""

import contextlib
import json
import socket
import threading
import time

import pytest
import tiny_shop
import uvicorn
from ports import free_port

from recsys_lab.serve.api import ServeSettings, make_app
from recsys_lab.serve.connections import PatientProtocol

BODY_S, HEAD_S = 0.6, 1.0


@pytest.fixture(scope="module")
def port():
    """Port of the service, as `recsys-lab demo` runs it, with a short patience."""
    shop, number = tiny_shop.open_shop(), free_port()
    protocol = type("Protocol", (PatientProtocol,), {"head_s": HEAD_S})
    app = make_app(shop, ServeSettings(body_s=BODY_S, shared=(10**6, 1e6), allowance=(10**6, 1e6)))
    config = uvicorn.Config(app, port=number, log_level="critical", access_log=False, server_header=False,
                            http=protocol, timeout_graceful_shutdown=1, timeout_keep_alive=1)  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield number
    server.should_exit = True
    thread.join()
    shop.close()


@pytest.fixture(autouse=True)
def alive(port):
    """After each test: it answers, and the list of somebody else has not changed."""
    yield
    assert talk(port, request("GET", "/readyz"))[0] == 200
    status, _, body = talk(port, request("GET", "/recommendations?session_id=untouched"))
    assert status == 200 and json.loads(body)["source"] == "popular"


def request(method, path, body=b"", **headers):
    head = {"Host": "localhost", "Connection": "close"} | {k.replace("_", "-"): v for k, v in headers.items()}
    if method == "POST":
        head = {"Content-Type": "application/json", "Content-Length": str(len(body))} | head
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items() if value is not None)]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def receive(connection, seconds=15):
    """All that comes until the other side closes."""
    connection.settimeout(seconds)
    raw = b""
    try:
        while part := connection.recv(65_536):
            raw += part
    except ConnectionError:
        pass
    return raw


def answer(raw):
    """Status, headers and body of the first answer."""
    head, _, body = raw.partition(b"\r\n\r\n")
    if not head:
        return None, {}, b""
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(first.split()[1]), headers, body


def talk(port, raw, seconds=15):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        with contextlib.suppress(ConnectionError):  # it may have answered and closed before all was sent
            connection.sendall(raw)
        return answer(receive(connection, seconds))


def refused(got, *statuses):
    status, head, body = got
    assert status in statuses, got
    assert head["content-type"] == "application/problem+json"
    assert json.loads(body)["status"] == status


EVENT = b'{"session_id": "s", "item_id": 7%s}'
BODIES = {
    "nothing": b"",
    "no JSON": b"{",
    "a word": b"hello",
    "a comma": b'{"session_id": "s", "item_id": 7,}',
    "single quotes": b"{'session_id': 's'}",
    "null": b"null",
    "a number": b"7",
    "a text": b'"x"',
    "true": b"true",
    "empty object": b"{}",
    "empty list": b"[]",
    "list in a list": b"[[]]",
    "list of null": b"[null]",
    "NaN": b'{"session_id": "s", "item_id": NaN}',
    "Infinity": b'{"session_id": "s", "item_id": Infinity}',
    "minus infinity": b'{"session_id": "s", "item_id": -Infinity}',
    "1e999": b'{"session_id": "s", "item_id": 1e999}',
    "huge number": b'{"session_id": "s", "item_id": ' + b"9" * 400 + b"}",
    "number of 100,000 digits": b'{"session_id": "s", "item_id": ' + b"9" * 100_000 + b"}",
    "half number": b'{"session_id": "s", "item_id": 7.5}',
    "item as object": b'{"session_id": "s", "item_id": {"$gt": 0}}',
    "huge exponent in time": EVENT % b', "timestamp": 1e400',
    "huge time": EVENT % b', "timestamp": 99999999999999999999999999',
    "NaN time": EVENT % b', "timestamp": NaN',
    "time in the year 9999": EVENT % b', "timestamp": "9999-12-31T23:59:59Z"',
    "time with odd offset": EVENT % b', "timestamp": "0001-01-01T00:00:00+23:59"',
    "deep list": b"[" * 100_000,
    "deep list, closed": b"[" * 50_000 + b"]" * 50_000,
    "deep object": b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
    "deep value": EVENT % (b', "user_id": ' + b"[" * 900 + b"]" * 900),
    "invalid UTF-8": b'{"session_id": "\xff\xfe", "item_id": 7}',
    "UTF-16": '{"session_id": "s", "item_id": "ü", "x": 1}'.encode("utf-16"),
    "lone surrogate": EVENT % b', "user_id": "\\ud800"',
    "surrogate as a key": b'{"\\ud800": 1}',
    "null byte": EVENT % b', "event_id": "a\\u0000b"',
    "many keys": b"{" + b",".join(b'"k%d": 1' % n for n in range(10_000)) + b"}",
    "long key": b'{"' + b"k" * 200_000 + b'": 1}',
    "many wrong events": b"[" + b",".join([b"{}"] * 400) + b"]",
    "501 events": b"[" + b",".join([EVENT % b""] * 501) + b"]",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_refused(port, name):
    got = talk(port, request("POST", "/events", BODIES[name]))
    refused(got, 400, 422)
    assert len(got[2]) < 20_000  # an answer is no copy of what was sent


def test_of_duplicate_keys_the_last_one_counts(port):
    body = b'{"session_id": "first", "item_id": 7, "session_id": "twice"}'
    assert talk(port, request("POST", "/events", body))[0] == 200
    for session, source in (("twice", "session"), ("first", "popular")):
        got = talk(port, request("GET", f"/recommendations?session_id={session}"))
        assert json.loads(got[2])["source"] == source


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "é"])
def test_another_content_type_is_no_event(port, kind):
    """A form of another page could send these without being asked first (CORS)."""
    refused(talk(port, request("POST", "/events", EVENT % b"", Content_Type=kind)), 400, 415, 422)


@pytest.mark.parametrize("size", [262_145, 10_000_000])
def test_a_large_body_is_not_read(port, size):
    refused(talk(port, request("POST", "/events", b" " * size)), 413)


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "99999999999999999999", "5, 6"])
def test_a_wrong_length_is_refused(port, length):
    refused(talk(port, request("POST", "/events", b"{}", Content_Length=length)), 400, 413)


def test_a_large_body_in_pieces_is_not_read_to_its_end(port):
    head = request("POST", "/events", Content_Length=None, Transfer_Encoding="chunked")
    refused(
        talk(port, head + b"10000\r\n" + b" " * 65_536 + b"\r\n" + (b"8000\r\n" + b" " * 32_768 + b"\r\n") * 300), 413
    )


def test_pieces_of_nonsense(port):
    head = request("POST", "/events", Content_Length=None, Transfer_Encoding="chunked")
    status, *_ = talk(port, head + b"zz\r\n{}\r\n0\r\n\r\n")
    assert status in (400, None)


def test_a_slow_body_is_given_up(port):
    start = time.monotonic()
    refused(talk(port, request("POST", "/events", b'{"session', Content_Length="50")), 408)
    assert BODY_S * 0.8 < time.monotonic() - start < BODY_S + 5


def test_a_body_that_drips_is_given_up(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request("POST", "/events", Content_Length="1000"))
        start = time.monotonic()
        try:
            while time.monotonic() - start < 6:
                connection.sendall(b" ")
                time.sleep(0.1)
        except ConnectionError:
            pass
        assert time.monotonic() - start < 5
        got = receive(connection)
    assert not got or answer(got)[0] == 408


def test_a_slow_head_is_given_up(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(b"GET /items HTTP/1.1\r\nHo")
        start = time.monotonic()
        assert receive(connection) == b""
        assert HEAD_S * 0.5 < time.monotonic() - start < HEAD_S + 5


def test_a_connection_that_says_nothing_is_given_up(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        assert receive(connection) == b""


def test_many_slow_ones_stop_nobody(port):
    slow = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(request("POST", "/events", b"{", Content_Length="100"))
        start = time.monotonic()
        assert talk(port, request("GET", "/healthz"))[0] == 200
        assert time.monotonic() - start < 2
    finally:
        for connection in slow:
            connection.close()


def test_a_half_closed_connection(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request("POST", "/events", b"{", Content_Length="100"))
        connection.shutdown(socket.SHUT_WR)
        got = receive(connection)
    assert not got or answer(got)[0] < 500
    with socket.create_connection(("127.0.0.1", port), 10) as connection:  # a whole request, then no more
        connection.sendall(request("GET", "/healthz"))
        connection.shutdown(socket.SHUT_WR)
        got = receive(connection)
    assert not got or answer(got)[0] == 200


def test_those_who_leave_in_the_middle(port):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(request("GET", "/recommendations?session_id=s&k=100"))
        with socket.create_connection(("127.0.0.1", port), 10) as connection:
            connection.sendall(request("POST", "/events", EVENT % b"")[:-5])


GARBAGE = {
    "bytes": bytes(range(256)) * 20,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
    "long line": b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "long header": request("GET", "/healthz", X_Long="x" * 200_000),
    "10,000 headers": request("GET", "/healthz", **{f"X_{n}": "1" for n in range(10_000)}),
    "smuggled": request("POST", "/events", b"0\r\n\r\nGET /x HTTP/1.1\r\n\r\n", Transfer_Encoding="chunked"),
    "absolute": b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "connect": b"CONNECT localhost:22 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "websocket": request("GET", "/", Connection="Upgrade", Upgrade="websocket", Sec_WebSocket_Version="13",
                         Sec_WebSocket_Key="x" * 22 + "=="),
    "unknown method": b"BREW /items HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "fold": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\r\n b\r\nConnection: close\r\n\r\n",
    "expect": request("POST", "/events", b"", Expect="a miracle"),
    "zip": request("POST", "/events", b"\x1f\x8b\x08\x00", Content_Encoding="gzip"),
}  # fmt: skip


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_gets_no_5xx(port, name):
    status, _, _ = talk(port, GARBAGE[name], 8)
    assert status is None or status < 500


@pytest.mark.parametrize("name", ["bytes", "TLS"])
def test_garbage_behind_a_request(port, name):
    """Pipelined: the first is answered, the rest is not understood."""
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(request("GET", "/healthz", Connection="keep-alive") + GARBAGE[name])
        raw = receive(connection)
    assert raw.startswith(b"HTTP/1.1 200") and b"HTTP/1.1 5" not in raw


def test_requests_in_a_row_are_answered_in_their_order(port):
    paths = ("/healthz", "/items/7", "/nothing", "/healthz")
    raw = b"".join(request("GET", path, Connection="close" if n == 3 else "keep-alive") for n, path in enumerate(paths))
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(raw)
        got = receive(connection)
    assert [int(part[:3]) for part in got.split(b"HTTP/1.1 ")[1:]] == [200, 200, 404, 200]


PATHS = (
    "/items/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/static/../../../../etc/passwd",
    "/static/%2e%2e/%2e%2e/%2e%2e/api.py",
    "/static/..%5c..%5capi.py",
    "/static//etc/passwd",
    "/static/%00",
    "/static/" + "a/" * 500,
    "/covers/..%2f..%2fetc%2fpasswd.svg",
    "/books/%00",
    "/books/7?v=%00&v=%ff",
    "/users/%ff%fe",
    "/items?q=%ff%fe%00",
    "/items?q=%F0%9F%92%A9&limit=٣",
    "/items?q=" + "%28" * 1000,
    "/recommendations?session_id=s&k=NaN",
    "/recommendations?session_id=s&user_id=%00",
    "/recommendations?session_id=a&session_id=b",
    "/recommendations?session_id=%C3%A9",
    "/search?q=" + "a%CC%81" * 500,
    "/search?q=%00%1b[31m",
    "/basket?x=" + "&x=" * 1000,
    "/;/?#",
    "/%",
    "/%zz",
    "//",
    "/" * 3000,
)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_strange_address_gets_no_5xx_and_no_file(port, path, accept):
    raw = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n".encode()
    status, _, body = talk(port, raw, 8)
    assert status is not None and status < 500
    assert b"root:" not in body and b"FastAPI" not in body


@pytest.mark.parametrize("cookie", ["visitor=" + "x" * 60_000, "visitor=\xff\xfe", ";;;=;=", "a=b; " * 5_000,
                                    "reader=" + "9" * 500, "reader=%00", "visitor=../../x"])  # fmt: skip
def test_a_strange_cookie_gets_no_5xx(port, cookie):
    raw = request("GET", "/", Accept="text/html", Cookie=cookie)
    status, *_ = talk(port, raw, 8)
    assert status is not None and status < 500


def test_all_at_once(port):
    """Everything above from 8 threads: the service stays."""
    bad = [request("POST", "/events", body) for body in BODIES.values()] + list(GARBAGE.values())
    found, lock = [], threading.Lock()

    def send(start):
        for raw in bad[start::8]:
            status, *_ = talk(port, raw, 8)
            with lock:
                found.append(status)

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(bad) and all(status is None or status < 500 for status in found)
