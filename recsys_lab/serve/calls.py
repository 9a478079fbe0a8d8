"""Asking several models at once within a budget: one that is stuck or fails costs nobody more than that.

Python cannot stop a thread. A call that is too late is left alone, and its answer thrown away when it comes; a model
with several such calls is not asked any more until they have come back.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, wait

log = logging.getLogger(__name__)
MOST_STUCK = 2  # calls of a model that have not come back, from which on it is not asked
THREADS = 4  # a model: one that is stuck takes none from the others


class Calls:
    """Runs the work of models side by side, each on threads of its own.

    Parameters
    ----------
    names : iterable of str
        Of the models.

    Attributes
    ----------
    stuck : dict of str to int
        Calls of each model that were too late and have not come back.
    """

    def __init__(self, names: Iterable[str]):
        self._threads = {name: Threads(f"model-{name}", THREADS) for name in names}
        self.stuck, self._lock = dict.fromkeys(self._threads, 0), threading.Lock()

    def ask(self, tasks: Mapping[str, Callable], seconds: float) -> tuple[dict, dict[str, float], list[str]]:
        """Run one task of each named model.

        Parameters
        ----------
        tasks : mapping of str to callable without arguments
        seconds : float
            How long they have in all; nothing or less: nobody is waited for.

        Returns
        -------
        answers : dict of str to object
            Of those that came back in time.
        timings : dict of str to float
            Milliseconds of each of them, without the time that it waited for a thread.
        failed : list of str
            The others. That a call failed or is too late is logged.
        """
        running: dict[str, Future] = {}
        failed = []
        for name, task in tasks.items():
            if self.stuck[name] < MOST_STUCK and (future := self._threads[name].submit(task)):
                running[name] = future
            else:
                failed.append(name)
        wait(running.values(), timeout=max(0.0, seconds))
        answers, timings = {}, {}
        for name, future in running.items():
            if not future.done():
                self._leave(name, future, seconds)
            elif not future.cancelled() and (error := future.exception()) is not None:
                log.warning("model %s failed: %s: %s", name, type(error).__name__, error)
            elif not future.cancelled():
                answers[name], timings[name] = future.result()
        return answers, timings, failed + [name for name in running if name not in answers]

    def _leave(self, name: str, future: Future, seconds: float) -> None:
        """Count a call that is too late until it comes back; if it has not even begun, take it away."""
        if future.cancel():
            return
        log.warning("model %s did not answer within %.0f ms", name, 1000 * max(0.0, seconds))
        with self._lock:
            self.stuck[name] += 1
        future.add_done_callback(lambda _: self._is_back(name))

    def _is_back(self, name: str) -> None:
        with self._lock:
            self.stuck[name] -= 1

    def close(self) -> None:
        """Give the threads back; a call that is stuck is not waited for. Whoever asks afterwards gets no answer."""
        for threads in self._threads.values():
            threads.close()


class Threads:
    """A few threads for one model, begun when they are needed.

    Those of `concurrent.futures` are joined when Python ends: with one stuck call, the process would never end. These
    are daemons.
    """

    def __init__(self, name: str, n: int):
        self._name, self._n, self._begun, self._lock = name, n, 0, threading.Lock()
        self._work: queue.SimpleQueue = queue.SimpleQueue()
        # also when nobody holds this object any more: the threads know the queue only
        self.close = weakref.finalize(self, _end, self._work, n)

    def submit(self, task: Callable) -> Future | None:
        """Return the future of (answer, milliseconds); None after `close`."""
        with self._lock:
            if not self.close.alive:
                return None
            if self._begun < self._n:
                threading.Thread(target=_run, args=(self._work,), name=self._name, daemon=True).start()
                self._begun += 1
            future: Future = Future()
            self._work.put((future, task))
            return future


def _run(work: queue.SimpleQueue) -> None:
    """Do one task after the other until there is a None."""
    while (given := work.get()) is not None:
        _do(*given)
        del given  # what was asked is not kept until the next question


def _do(future: Future, task: Callable) -> None:
    if not future.set_running_or_notify_cancel():
        return
    start = time.perf_counter()
    try:
        answer = task()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result((answer, 1000 * (time.perf_counter() - start)))


def _end(work: queue.SimpleQueue, n: int) -> None:
    """Take away what has not begun, and let the threads end."""
    try:
        while True:
            work.get_nowait()[0].cancel()
    except queue.Empty:
        pass
    for _ in range(n):
        work.put(None)
