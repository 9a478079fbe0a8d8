"""A small shop for tests of the service: 120 books, models learned in a moment, and the service as a process."""

import functools
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from ports import free_port

from recsys_lab import models
from recsys_lab.serve.bundle import Bundle
from recsys_lab.serve.memory import SECOND, open_store
from recsys_lab.serve.shop import Shop

NOW = 1_790_000_000 * SECOND
N_BOOKS, N_READERS = 120, 40
LONGEST = 9  # views of a session that the models learned from
NASTY = "<script>alert('x')</script>"


def books() -> pd.DataFrame:
    """Items 1 to `N_BOOKS`; number 120 has markup in its title, number 119 has neither price nor year."""
    ids = np.arange(1, N_BOOKS + 1)
    table = pd.DataFrame({"item_id": ids, "title": [f"Book {n} of the sea" for n in ids]})
    table["author"] = [f"Writer {n % 30}" for n in ids]
    table["genre"] = np.array(["crime", "poetry", "travel"])[ids % 3]
    table["price"], table["year"] = 5.0 + ids % 7, pd.array(1950 + ids % 60, dtype="Int64")
    table.loc[N_BOOKS - 1, "title"] = NASTY
    table.loc[N_BOOKS - 2, ["price", "year"]] = [np.nan, pd.NA]
    return table


def events(n_sessions: int = 400, seed: int = 0) -> pd.DataFrame:
    """Visits that walk along the numbers of the books, with a purchase at the end of some."""
    rng, rows = np.random.default_rng(seed), []
    for session in range(n_sessions):
        item, user = int(rng.integers(1, N_BOOKS + 1)), int(rng.integers(1, N_READERS + 1))
        start = 1_700_000_000 + session * 3_600
        length = int(rng.integers(2, LONGEST))
        for position in range(length):
            rows.append((session, item, "view", start + 30 * position, user))
            item = 1 + (item + int(rng.choice([0, 1, 2, 6]))) % N_BOOKS
        if session % 2:
            rows += [(session, rows[-1 - n][1], "purchase", start + 30 * (length + n), user) for n in range(2)]
    log = pd.DataFrame(rows, columns=["session_id", "item_id", "event", "timestamp", "user_id"])
    log["timestamp"] = pd.to_datetime(log["timestamp"], unit="s", utc=True)
    return log


def roles(seed: int = 0) -> dict:
    """The shop's models, small."""
    return {
        "session": models.GRU4Rec(layers=[8], batch_size=16, n_sample=32, n_epochs=1, device="cpu", seed=seed),
        "neighbours": models.SessionKNN(),
        "user": models.ALS(factors=8, by="user", iterations=2),
        "popular": models.RecentPopularity(half_life="7D"),
        "related": models.ItemKNN(),
        "together": models.FrequentlyBoughtTogether(),
    }


@functools.cache
def bundle(seed: int = 0) -> Bundle:
    """What the small shop learned; `seed` makes another version."""
    dataset = SimpleNamespace(events=events(seed=seed), items=books())
    return Bundle.train(dataset, roles=roles(seed))


def open_shop(store=None, clock=lambda: NOW, seed: int = 0, budget_ms: float = 5_000, **options) -> Shop:
    """A shop over a temporary file; the models have long enough on a busy machine."""
    return Shop(bundle(seed), store or open_store(None), clock, budget_ms=budget_ms, **options)


class Demo:
    """``recsys-lab demo`` in a process of its own; `port=None` leaves it out."""

    def __init__(self, folder, log, *more, port=0, wait=True):
        self.port = free_port() if port == 0 else port
        self.log = log
        command = [sys.executable, "-m", "recsys_lab.cli", "demo", "--no-browser", "--bundle", str(folder), *more]
        command += [] if self.port is None else ["--port", str(self.port)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
        if wait:
            self.wait()

    def wait(self, seconds=60):
        """Until it answers; the port is read from what it said."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"open: http://\S+:([0-9]+)/", self.said()):
                self.port = int(found[1])
                try:
                    if self.ask("GET", "/healthz")[0] == 200:
                        return
                except OSError:
                    pass
            time.sleep(0.05)
        pytest.fail(f"the demo did not start:\n{self.said()}")

    def said(self) -> str:
        return self.log.read_text()

    def connect(self, seconds=20):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)

    def ask(self, method, path, body=None, headers=None, connection=None):
        """Status and body, JSON read."""
        own = connection or self.connect()
        try:
            text = None if body is None else json.dumps(body)
            own.request(method, path, text, {"Content-Type": "application/json", **(headers or {})})
            answer = own.getresponse()
            raw = answer.read().decode()
        finally:
            if connection is None:
                own.close()
        return answer.status, json.loads(raw) if "json" in answer.headers.get("content-type", "") else raw

    def post(self, *items, session="s", **more):
        """Outcomes of views."""
        status, answer = self.ask("POST", "/events", [{"session_id": session, "item_id": i, **more} for i in items])
        assert status == 200, answer
        return answer["outcomes"]

    def kill(self):
        """SIGKILL for it and its workers: no goodbye."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, how=signal.SIGINT, seconds=30) -> int:
        """Exit status."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.kill()
