"""Several processes that answer at one address: started, replaced when one dies, ended together."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import wait

GRACE_S = 10.0  # for a worker to finish its requests
SOON_S = 10.0  # a worker that dies so soon after its start will do so again
MOST_FALSE_STARTS = 3


class WorkersError(OSError):
    """Workers die as soon as they are started."""


def run(listener, number: int, serve: Callable) -> None:
    """Serve from several processes until Ctrl-C.

    Parameters
    ----------
    listener : socket
        Bound; all workers accept from it.
    number : int
    serve : callable
        A function of a module; takes the socket, and returns when it is told to end (SIGINT, SIGTERM).

    Raises
    ------
    WorkersError
    """
    context, false_starts = multiprocessing.get_context("spawn"), 0  # a fork would copy locks that are held

    def start():
        process = context.Process(target=_work, args=(listener, serve))
        process.start()
        return process, time.monotonic()

    workers = [start() for _ in range(number)]
    try:
        while True:
            wait([process.sentinel for process, _ in workers])
            for place, (process, began) in enumerate(workers):
                if process.is_alive():
                    continue
                false_starts = false_starts + 1 if time.monotonic() - began < SOON_S else 0
                if false_starts >= MOST_FALSE_STARTS:
                    raise WorkersError("the workers end as soon as they are started; what they say stands above.")
                workers[place] = start()
    finally:
        _end([process for process, _ in workers])


def _end(processes: list) -> None:
    """Tell all to end, wait for them together, and end what is left."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + GRACE_S
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()


def _work(listener, serve: Callable) -> None:
    """One worker: it also ends when the process that started it is gone, however that went."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    parent = multiprocessing.parent_process()

    def follow():
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=follow, daemon=True, name="parent").start()
    serve(listener)
