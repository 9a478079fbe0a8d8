"""The other side of `benchmarks.serve`: visitors, in a process of their own.

Clicks arrive at random (Poisson) at a given rate, whatever the service does (open loop): each is an event that is
posted and, when it is acknowledged, a list that is asked for. Latency counts from the moment at which the click was
meant to happen, so a service that falls behind is charged for the waiting (no coordinated omission). With rate 0 eight
visitors click again as soon as they have their list (closed loop): that measures how much it can do at most.

``python -m benchmarks.serve_load '{"port": ..., "clicks": ..., "rate": 100, "seconds": 20, "seed": 0}'`` prints JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import deque

import numpy as np

ACTIVE = 200  # visits that go on at the same time
REUSE_S = 5.0  # how long an idle connection is used again
CLOSED = 8  # visitors of a closed loop


class Visits:
    """Clicks of many visits, as they mingle."""

    def __init__(self, path: str, seed: int):
        with np.load(path) as file:
            self.clicks, self.offsets = file["clicks"], file["offsets"]
        self.rng, self.seed = np.random.default_rng(seed), seed
        self.next = int(self.rng.integers(0, len(self.offsets) - 1))
        self.active = [self._visit() for _ in range(ACTIVE)]

    def _visit(self) -> tuple[str, deque]:
        self.next += 1
        row = self.next % (len(self.offsets) - 1)
        return f"load-{self.seed}-{self.next}", deque(self.clicks[self.offsets[row] : self.offsets[row + 1]].tolist())

    def click(self) -> tuple[str, int]:
        """Session and item of the next click."""
        place = int(self.rng.integers(0, ACTIVE))
        session, left = self.active[place]
        item = left.popleft()
        if not left:
            self.active[place] = self._visit()
        return session, item


class Client:
    """HTTP on connections that stay open, as many as are needed at once."""

    def __init__(self, port: int):
        self.port, self.idle = port, []

    async def click(self, session: str, item: int) -> dict:
        """Post the event, ask for the list."""
        reader, writer = await self._connection()
        body = json.dumps({"session_id": session, "item_id": item}).encode()
        head = (
            f"POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        )
        writer.write(head.encode() + b"\r\n\r\n" + body)
        outcome = (await self._answer(reader))["outcomes"]
        writer.write(f"GET /recommendations?session_id={session}&k=10 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = await self._answer(reader)
        self.idle.append((time.perf_counter(), reader, writer))
        return {"stored": outcome == ["stored"], "degraded": answer["degraded"] or len(answer["items"]) != 10}

    async def _connection(self):
        """The one used last, or a new one: the service closes what is idle for long, as clients know."""
        while self.idle:
            used, reader, writer = self.idle.pop()
            if time.perf_counter() - used < REUSE_S:
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def _answer(self, reader) -> dict:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 200"):
            raise OSError(f"{head[:20]!r} {body[:200]!r}")
        return json.loads(body)


class Load:
    """One run; `done` holds (intended time, latency in ms) of each click."""

    def __init__(self, asked: dict):
        self.rate, self.seconds = asked["rate"], asked["seconds"]
        self.visits, self.client = Visits(asked["clicks"], asked["seed"]), Client(asked["port"])
        self.done, self.failed, self.degraded, self.begun = [], [], 0, 0.0

    async def one(self, intended: float) -> None:
        """One click, noted with its latency."""
        try:
            answer = await self.client.click(*self.visits.click())
            self.degraded += answer["degraded"]
            if not answer["stored"]:
                self.failed.append("not stored")
        except (OSError, ValueError, asyncio.IncompleteReadError) as error:
            self.failed.append(repr(error))
        self.done.append((intended - self.begun, 1000 * (time.perf_counter() - intended)))

    async def open_loop(self) -> None:
        """Click at random moments, whether or not the last click was answered."""
        tasks, at, end = set(), self.begun, self.begun + self.seconds
        while (at := at + self.visits.rng.exponential(1 / self.rate)) < end:
            await asyncio.sleep(max(0.0, at - time.perf_counter()))
            task = asyncio.create_task(self.one(at))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        if tasks:
            await asyncio.wait(tasks, timeout=30)

    async def closed_loop(self) -> None:
        """Click again as soon as there is a list."""

        async def visitor():
            while time.perf_counter() < self.begun + self.seconds:
                await self.one(time.perf_counter())

        await asyncio.gather(*(visitor() for _ in range(CLOSED)))

    async def run(self) -> dict:
        """Click for as long as was asked for."""
        self.begun = time.perf_counter()
        await (self.open_loop() if self.rate else self.closed_loop())
        spent = time.perf_counter() - self.begun
        return {"done": self.done, "failed": self.failed, "degraded": self.degraded, "spent": spent}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Load(json.loads(sys.argv[1])).run())))
