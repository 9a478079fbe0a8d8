"""Downloads against a server on loopback that misbehaves on purpose."""

import errno
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time

import pytest
import requests

from recsys_lab import download
from recsys_lab.download import DataFileError, DownloadError, fetch, has_checksum

BODY = bytes(range(256)) * 1200  # 307,200 bytes: several chunks
SHA = hashlib.sha256(BODY).hexdigest()
PAGE = b"\n<!DOCTYPE html><html><title>Welcome to Hotel Wi-Fi</title></html>"


class Server(http.server.ThreadingHTTPServer):
    """Answers each request with the next step of a script; the last step is repeated."""

    daemon_threads = True

    def __init__(self, *script, body=BODY):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.body, self.ranges, self.stop = list(script), body, [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}/log.csv"

    def handle_error(self, request, client_address):
        pass  # a client that hangs up is part of the play


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        step = server.script[min(len(server.ranges), len(server.script) - 1)]
        server.ranges.append(self.headers.get("Range"))
        step(self)

    def log_message(self, *args):
        pass

    def answer(self, status, body, length=None, **headers):
        self.send_response(status)
        headers.setdefault("Content_Length", len(body) if length is None else length)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def whole(handler):
    """The file, or the rest of it that was asked for."""
    body, wanted = handler.server.body, handler.headers.get("Range")
    if wanted is None:
        return handler.answer(200, body)
    start = int(wanted.removeprefix("bytes=").rstrip("-"))
    if start >= len(body):
        return handler.answer(416, b"")
    return handler.answer(206, body[start:], Content_Range=f"bytes {start}-{len(body) - 1}/{len(body)}")


def without_ranges(handler):
    handler.answer(200, handler.server.body)


def other_range(handler):
    handler.answer(206, handler.server.body[5:], Content_Range=f"bytes 5-{len(BODY) - 1}/{len(BODY)}")


def cut(handler):
    """Promise everything, send two thirds, hang up."""
    handler.answer(200, handler.server.body[:200_000], length=len(handler.server.body))


def stall(handler):
    """Send two thirds and then nothing more, with the line open."""
    handler.answer(200, handler.server.body[:200_000], length=len(handler.server.body))
    handler.server.stop.wait(20)


def slowly(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(handler.server.body)))
    handler.end_headers()
    for start in range(0, len(handler.server.body), 30_000):
        handler.wfile.write(handler.server.body[start : start + 30_000])
        handler.wfile.flush()
        time.sleep(0.1)


def portal(handler):
    handler.answer(200, PAGE, Content_Type="text/html; charset=utf-8")


def portal_in_disguise(handler):
    handler.answer(200, PAGE, Content_Type="application/octet-stream")


def status(code):
    return lambda handler: handler.answer(code, b"sorry")


@pytest.fixture
def serve(monkeypatch):
    """Start servers that end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    running = []

    def start(*script, body=BODY):
        server = Server(*script, body=body)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.stop.set()
        server.shutdown()
        server.server_close()


def get(server, folder, **options):
    options = {"progress": False, "pause": 0, "timeout": 5} | options
    return fetch(server.url, folder / "log.csv", SHA, **options)


def names(folder):
    return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")


def test_a_file_is_fetched_once(serve, tmp_path):
    server = serve(whole)
    path = get(server, tmp_path / "new")
    assert path.read_bytes() == BODY
    assert names(path.parent) == ["log.csv"]
    assert get(server, tmp_path / "new") == path
    assert server.ranges == [None]


def test_a_cut_connection_goes_on_where_it_stopped(serve, tmp_path):
    server = serve(cut, whole)
    assert get(server, tmp_path).read_bytes() == BODY
    first, second = server.ranges
    assert first is None
    # the client may lose what stood in its last buffer, but not more
    assert 200_000 - download.CHUNK <= int(second.removeprefix("bytes=").rstrip("-")) <= 200_000
    assert names(tmp_path) == ["log.csv"]


def test_a_server_without_ranges_sends_it_all_again(serve, tmp_path):
    server = serve(cut, without_ranges)
    assert get(server, tmp_path).read_bytes() == BODY
    assert names(tmp_path) == ["log.csv"]


def test_a_server_that_sends_another_range_spoils_nothing(serve, tmp_path):
    server = serve(cut, other_range, whole)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.ranges[2] is None


def test_a_short_body_is_noticed_where_urllib3_does_not(serve, tmp_path, monkeypatch):
    read = requests.Response.iter_content

    def first_time_short(response, size):
        yield b"".join(read(response, size))[: 1000 if len(server.ranges) == 1 else None]

    monkeypatch.setattr(requests.Response, "iter_content", first_time_short)
    server = serve(whole)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.ranges == [None, "bytes=1000-"]


def test_always_cut_ends_with_a_message_and_a_later_call_goes_on(serve, tmp_path):
    server = serve(cut, cut, cut, whole)
    with pytest.raises(DownloadError, match=r"the connection was cut[\s\S]*goes on where it stopped") as caught:
        get(server, tmp_path, tries=3)
    assert server.url in str(caught.value)
    assert f"save the file as {tmp_path / 'log.csv'}" in str(caught.value)
    assert names(tmp_path) == ["log.csv.part"]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.ranges[3].startswith("bytes=")


@pytest.mark.parametrize(
    "left_over",
    [b"x" * 1000, BODY[:1000] + b"x", BODY + b"more", BODY, b""],
    ids=["junk", "one bad byte", "too long", "complete", "empty"],
)
def test_a_part_file_is_never_trusted(serve, tmp_path, left_over):
    (tmp_path / "log.csv.part").write_bytes(left_over)
    server = serve(whole)
    assert get(server, tmp_path).read_bytes() == BODY
    assert names(tmp_path) == ["log.csv"]


def test_a_good_part_file_saves_its_bytes(serve, tmp_path):
    (tmp_path / "log.csv.part").write_bytes(BODY[:1000])
    server = serve(whole)
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.ranges == ["bytes=1000-"]


def test_wrong_checksum(serve, tmp_path):
    with pytest.raises(DownloadError, match="not the known file") as caught:
        get(serve(whole, body=BODY[:-1] + b"?"), tmp_path)
    assert "report it" in str(caught.value)
    assert names(tmp_path) == []


def test_a_changed_file_under_the_final_name_is_replaced(serve, tmp_path):
    (tmp_path / "log.csv").write_bytes(BODY[:-1])
    assert get(serve(whole), tmp_path).read_bytes() == BODY
    assert names(tmp_path) == ["log.csv"]


def test_checksum_sees_a_file_change(tmp_path):
    file = tmp_path / "log.csv"
    file.write_bytes(BODY)
    assert has_checksum(file, SHA)
    file.write_bytes(BODY[:-1] + b"?")
    os.utime(file, (1, 1))
    assert not has_checksum(file, SHA)


@pytest.mark.parametrize(
    ("code", "requests", "says"),
    [(404, 1, "no such file any more"), (403, 1, "refused it"), (503, 3, "busy"), (429, 3, "busy")],
)
def test_statuses(serve, tmp_path, code, requests, says):
    server = serve(status(code))
    with pytest.raises(DownloadError, match=says) as caught:
        get(server, tmp_path, tries=3)
    assert f"(status {code})" in str(caught.value)
    assert len(server.ranges) == requests  # asking again for what is gone helps nobody
    assert names(tmp_path) == []


def test_a_busy_server_gets_a_second_chance(serve, tmp_path):
    assert get(serve(status(503), whole), tmp_path).read_bytes() == BODY


@pytest.mark.parametrize("page", [portal, portal_in_disguise])
def test_a_captive_portal_is_not_data_and_costs_no_progress(serve, tmp_path, page):
    (tmp_path / "log.csv.part").write_bytes(BODY[:1000])
    server = serve(page)
    with pytest.raises(DownloadError, match=r"web page instead of the file[\s\S]*log in"):
        get(server, tmp_path)
    assert len(server.ranges) == 1
    assert names(tmp_path) == ["log.csv.part"]
    assert (tmp_path / "log.csv.part").read_bytes() == BODY[:1000]


def test_full_disk(serve, tmp_path, monkeypatch):
    class FullDisk:
        def __init__(self, path, mode):
            self.file = open(path, mode)  # noqa: SIM115

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

        def write(self, chunk):
            if self.file.tell() > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            self.file.write(chunk)

    monkeypatch.setattr(download, "_open", FullDisk)
    server = serve(whole)
    with pytest.raises(DownloadError, match=r"the disk is full \([\d,]+ MiB free[\s\S]*RECSYS_LAB_CACHE"):
        get(server, tmp_path)
    assert len(server.ranges) == 1
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made(serve, tmp_path):
    (tmp_path / "cache").write_text("a file stands where the folder should be")
    with pytest.raises(DownloadError, match=r"cannot write to[\s\S]*RECSYS_LAB_CACHE"):
        get(serve(whole), tmp_path / "cache")


def test_no_network(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with socket.socket() as taken:  # bound and not listening: every connection is refused
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/log.csv"
        with pytest.raises(DownloadError, match="could not be reached: no network") as caught:
            fetch(url, tmp_path / "log.csv", SHA, pause=0)
    assert "bookshop" in str(caught.value)
    assert isinstance(caught.value, DataFileError)
    assert isinstance(caught.value, OSError)
    assert names(tmp_path) == []


def test_a_silent_server_is_left_and_the_rest_fetched_later(serve, tmp_path):
    server = serve(stall, whole)
    with pytest.raises(DownloadError, match=r"sent nothing for 0\.3 seconds"):
        get(server, tmp_path, timeout=0.3, tries=1)
    assert names(tmp_path) == ["log.csv.part"]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.ranges[1].startswith("bytes=")


def in_another_process(server, folder):
    code = "import sys; from recsys_lab.download import fetch; fetch(*sys.argv[1:], progress=False)"
    return subprocess.Popen([sys.executable, "-c", code, server.url, str(folder / "log.csv"), SHA])


def test_two_processes_at_once_download_once(serve, tmp_path):
    server = serve(slowly)
    pair = [in_another_process(server, tmp_path) for _ in range(2)]
    assert [p.wait(60) for p in pair] == [0, 0]
    assert (tmp_path / "log.csv").read_bytes() == BODY
    assert server.ranges == [None]


def test_a_killed_process_leaves_no_half_file_and_no_lock(serve, tmp_path):
    server = serve(stall, whole)
    process = in_another_process(server, tmp_path)
    part = tmp_path / "log.csv.part"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size):
        time.sleep(0.02)
    process.kill()
    process.wait(30)
    assert not (tmp_path / "log.csv").exists()
    assert get(server, tmp_path, wait=5).read_bytes() == BODY
    assert server.ranges[1].startswith("bytes=")


def test_waiting_for_another_process_ends(serve, tmp_path):
    import filelock

    with (
        filelock.FileLock(str(tmp_path / "log.csv.lock")),
        pytest.raises(DownloadError, match="another process has been downloading"),
    ):
        get(serve(whole), tmp_path, wait=0.1)


def test_the_bar(serve, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("RECSYS_LAB_PROGRESS", raising=False)
    get(serve(whole), tmp_path / "a", progress=True)
    shown = capsys.readouterr()
    assert "log.csv" in shown.err
    assert shown.out == ""
    monkeypatch.setenv("RECSYS_LAB_PROGRESS", "0")
    get(serve(whole), tmp_path / "b", progress=True)
    get(serve(whole), tmp_path / "c", progress=None)
    assert capsys.readouterr() == ("", "")
