"""Several processes at one address: replaced when they die, ended together, and not started for ever."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

WORKERS = """
import os, socket, sys
from recsys_lab.serve import workers

def serve(listener):
    if sys.argv[1:] == ["broken"]:
        raise SystemExit("this worker is broken")
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(str(os.getpid()).encode())

if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    try:
        workers.run(listener, 2, serve)
    except workers.WorkersError as error:
        print(error, flush=True)
    except KeyboardInterrupt:
        print("told to end", flush=True)
"""


class Workers:
    """Two workers that answer with their process id."""

    def __init__(self, folder, *mode):
        (folder / "two.py").write_text(WORKERS)
        command = [sys.executable, str(folder / "two.py"), *mode]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.port = int(self.process.stdout.readline())

    def pid(self) -> int:
        with socket.create_connection(("127.0.0.1", self.port), 20) as s:
            return int(s.recv(100))

    def pids(self) -> set[int]:
        """Who answers; asks until two do."""
        found, end = set(), time.monotonic() + 30
        while len(found) < 2 and time.monotonic() < end:
            with contextlib.suppress(ValueError):  # killed in the middle of an answer
                found |= {self.pid()}
        return found


@pytest.fixture
def two(tmp_path):
    running = Workers(tmp_path)
    yield running
    running.process.kill()
    running.process.communicate()


def test_a_dead_worker_is_replaced_and_all_end_together(two):
    first, second = two.pids()
    os.kill(first, signal.SIGKILL)
    end = time.monotonic() + 30
    while len(after := two.pids() - {first}) < 2 and time.monotonic() < end:
        pass
    assert second in after and len(after) == 2
    two.process.send_signal(signal.SIGINT)
    said, _ = two.process.communicate(timeout=30)
    assert two.process.returncode == 0 and "told to end" in said
    with pytest.raises(ConnectionRefusedError):
        two.pid()


def ended(pid) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_the_process_that_started_them_however_that_went(two):
    pids, end = two.pids(), time.monotonic() + 20
    two.process.kill()
    while not all(map(ended, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    assert all(map(ended, pids))


def test_workers_that_die_at_once_are_not_started_for_ever(tmp_path):
    running = Workers(tmp_path, "broken")
    said, errors = running.process.communicate(timeout=60)
    assert "end as soon as they are started" in said and errors.count("this worker is broken") >= 3
