"""Running code that may do anything: loop for ever, exit, print, ask for input, raise whatever there is.

The work runs in a helper thread while the caller waits, so the caller always comes back. When the time is up, an
exception is raised inside the helper thread between two of its Python instructions (`PyThreadState_SetAsyncExc`, the
same on Linux, macOS and Windows), and again if the code swallows it.

What this cannot stop: one long call into C. Where that call lets other threads run (`time.sleep`, most of numpy), the
caller comes back in time and the thread is left behind until the call ends. Where it does not (``sum(range(10**12))``,
``10**10**9``), nothing in this process can run before it ends: interrupting or restarting the kernel is all that
helps. Where there are no threads at all (Python in the browser), there is no limit.
"""

from __future__ import annotations

import builtins
import contextlib
import contextvars
import ctypes
import functools
import io
import linecache
import os
import re
import sys
import sysconfig
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

GRACE_S = 1.0  # how long code that swallows the first interruption is interrupted again
MOST_PRINTED = 2_000  # characters kept of what the code prints


class TimeUp(BaseException):
    """Raised inside the helper thread; no `Exception`, so that ``except Exception`` does not catch it."""


@dataclass
class Run:
    """How a limited run ended.

    Attributes
    ----------
    value : object
        What the work returned; None unless `finished`.
    finished : bool
    error : str
        Name of an error that the work let escape, "" if there was none.
    stopped : bool
        The person pressed "stop" (KeyboardInterrupt in the waiting thread).
    left_behind : bool
        The thread could not be stopped and still runs.
    place : Place or None
        Where the code was when time was up.
    """

    value: object = None
    finished: bool = False
    error: str = ""
    stopped: bool = False
    left_behind: bool = False
    place: Place | None = None


@dataclass(frozen=True)
class Place:
    """A line of the learner's code: `cell` is the notebook's execution count, None outside a notebook."""

    line: int
    source: str
    cell: int | None = None

    def __str__(self) -> str:
        return f"cell [{self.cell}], line {self.line}" if self.cell else f"line {self.line}"


def limited(work: Callable[[], object], limit_s: float, code: CodeType | None = None) -> Run:
    """Run `work` for at most `limit_s` seconds; whatever it does, this returns.

    Parameters
    ----------
    work : callable
        Takes nothing. It should catch all errors but `TimeUp`; of one that escapes only the name is kept.
    limit_s : float
    code : code, optional
        The learner's function, to tell its lines from a library's.
    """
    run, helper = Run(), _Helper(work)
    try:
        helper.start()
        until = time.monotonic() + limit_s
        while not helper.done.wait(0.05) and time.monotonic() < until:
            pass  # short waits: on Windows a long one would not notice the stop button
    except KeyboardInterrupt:
        run.stopped = True
    if not helper.done.is_set():
        run.place = place_of(list(_frames(helper.frame())), code)
        with contextlib.suppress(KeyboardInterrupt):
            helper.interrupt()
        run.left_behind = not helper.done.is_set()
    elif not run.stopped:
        run.value, run.finished, run.error = helper.value, helper.finished, helper.error
    return run


class _Helper:
    """A thread that runs the work and can be interrupted until the work is over, and not a moment later."""

    def __init__(self, work: Callable[[], object]):
        self.work, self.value, self.error, self.finished, self.over = work, None, "", False, False
        self.done, self.lock = threading.Event(), threading.Lock()
        self.thread = threading.Thread(target=contextvars.copy_context().run, args=(self._body,), daemon=True)

    def start(self) -> None:
        try:
            self.thread.start()
        except RuntimeError:  # no threads here: without a limit rather than not at all
            self._body()

    def frame(self) -> FrameType | None:
        return sys._current_frames().get(self.thread.ident)

    def interrupt(self) -> None:
        until = time.monotonic() + GRACE_S
        while not self.done.wait(0.005) and time.monotonic() < until:
            with self.lock:
                if not self.over:
                    ident = ctypes.c_ulong(self.thread.ident)
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(TimeUp))

    def _body(self) -> None:
        with contextlib.suppress(TimeUp):
            try:
                self.value = self.work()
                self.finished = True
            except BaseException as error:
                self.error = "" if isinstance(error, TimeUp) else type(error).__name__
        while not self.over:
            with contextlib.suppress(TimeUp), self.lock:
                self.over = True
        with contextlib.suppress(TimeUp):  # an interruption that was on its way strikes here
            for _ in range(100):
                pass
        self.done.set()


class Printed(io.TextIOBase):
    """A file that keeps the beginning of what is written to it."""

    def __init__(self):
        self.text = ""

    def write(self, text: str) -> int:
        """Keep `text` as far as there is room."""
        self.text += text[: MOST_PRINTED - len(self.text)]
        return len(text)

    def take(self) -> str:
        """Return what was written since the last time."""
        text, self.text = self.text, ""
        return text


@contextlib.contextmanager
def quiet() -> Iterator[Printed]:
    """Collect what is printed, silence warnings, and turn into errors what would end or block the kernel."""
    printed = Printed()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(printed))
        stack.enter_context(contextlib.redirect_stderr(printed))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(_replaced(builtins, "input", _no_input))
        stack.enter_context(_replaced(os, "_exit", _exit))
        stack.enter_context(_replaced(sys, "breakpointhook", _no_breakpoint))
        shell = _shell()
        if hasattr(shell, "ask_exit"):  # in a notebook, exit() is IPython's and would end the kernel
            stack.enter_context(_replaced(shell, "ask_exit", _exit))
        yield printed


@contextlib.contextmanager
def _replaced(owner, name: str, value) -> Iterator[None]:
    before = getattr(owner, name)
    own = name in vars(owner)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before) if own else delattr(owner, name)


def _no_input(*prompt):
    raise RuntimeError("input() waits for a person. A check gives the function all that it needs as arguments.")


def _exit(*status):
    raise SystemExit(*status[:1])


def _no_breakpoint(*args, **kwargs):
    """Pass over `breakpoint()`: in a check nobody sits at the debugger."""


def _shell():
    module = sys.modules.get("IPython")
    return module.get_ipython() if module else None


def _frames(frame: FrameType | None) -> Iterator[tuple[CodeType, int]]:
    """Code and line of a frame and its callers, outermost first."""
    stack = []
    while frame is not None:
        stack.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return reversed(stack)


def traceback_lines(error: BaseException) -> list[tuple[CodeType, int]]:
    """Code and line of each step of an error's traceback, outermost first."""
    steps, traceback = [], error.__traceback__
    while traceback is not None:
        steps.append((traceback.tb_frame.f_code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return steps


def place_of(steps: list[tuple[CodeType, int]], code: CodeType | None) -> Place | None:
    """Return the innermost line of the learner's own code, None where there is none."""
    for step, line in reversed(steps):
        if is_own(step, code):
            return Place(line or 0, linecache.getline(step.co_filename, line or 0).strip(), _cell(step.co_filename))
    return None


def is_own(step: CodeType, code: CodeType | None) -> bool:
    """Whether a code object is the learner's: in the file or cell of their function, or in no library."""
    name = step.co_filename
    return (code is not None and name == code.co_filename) or not name.startswith(("<frozen", *_libraries()))


@functools.cache
def _libraries() -> tuple[str, ...]:
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return (*(f for f in folders if f), str(Path(__file__).parents[1]))


def _cell(filename: str) -> int | None:
    """The execution count that a code cell had, from the name of its code: IPython 7, then 8 and later."""
    if found := re.match(r"<ipython-input-(\d+)-", filename):
        return int(found[1])
    names = getattr(getattr(_shell(), "compile", None), "_filename_map", {})
    return names.get(filename)
