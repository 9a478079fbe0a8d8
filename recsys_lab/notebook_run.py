"""Run a notebook in a kernel of its own: for the build, and to see whether a lab runs from end to end offline."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

COLOURS = re.compile(r"\x1b\[[0-9;]*m")
#: One thread: small operations are slower on two, and results of sums may differ.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class Kernel(AsyncKernelManager):
    """A kernel of this very Python, whatever is registered as "python3" on this machine."""

    code = "from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"

    @property
    def kernel_spec(self) -> KernelSpec:
        """How to start it."""
        # without frozen modules, or the debugger's warning about them goes to the terminal
        argv = [sys.executable, "-Xfrozen_modules=off", "-c", self.code, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


class OfflineKernel(Kernel):
    """The same without a network."""

    code = "from recsys_lab.offline import block_network; block_network(); " + Kernel.code


@dataclass(frozen=True)
class CellRun:
    """What became of one code cell: its number among all cells (from 1), `id`, seconds, and error or None."""

    number: int
    id: str
    seconds: float
    error: str | None


@dataclass(frozen=True)
class Run:
    """What became of a notebook.

    Attributes
    ----------
    cells : list of CellRun
        The code cells that were started.
    seconds : float
        All of it, the start of the kernel included.
    finished : bool
        Whether the last cell was reached.
    notebook : NotebookNode
        As it was run, with its outputs.
    """

    cells: list[CellRun]
    seconds: float
    finished: bool
    notebook: NotebookNode

    @property
    def errors(self) -> list[CellRun]:
        """The cells that failed."""
        return [cell for cell in self.cells if cell.error]


def run_notebook(
    path: Path, replace: dict[str, str] | None = None, timeout: float = 180.0, env: dict[str, str] | None = None
) -> Run:
    """Execute a lab whole, without a network, going on after errors; nothing is written beside it.

    Parameters
    ----------
    path : Path
        The notebook.
    replace : dict of str to str, optional
        Code to put in place of stubs: number of the exercise ("2.3") or name of the function to the text of another
        function. What else the cell does stays.
    timeout : float
        Seconds for all cells together; a cell that exceeds them counts as failed and is the last one.
    env : dict of str to str, optional
        Environment variables for the run; an empty string takes one away.

    Returns
    -------
    Run

    Raises
    ------
    KeyError
        If there is no stub under a name in `replace`.
    """
    notebook = nbformat.read(path, as_version=4)
    for name, code in (replace or {}).items():
        replace_stub(notebook, name, code)
    with tempfile.TemporaryDirectory() as folder:
        return execute(notebook, Path(folder), OfflineKernel, env=env, timeout=timeout, allow_errors=True)


def replace_stub(notebook: NotebookNode, name: str, code: str) -> None:
    """Put `code` in place of the stub of an exercise; what else the cell does, such as its check line, stays."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or "raise NotImplementedError" not in cell.source:
            continue
        for part in ast.parse(cell.source).body:
            text = ast.get_source_segment(cell.source, part) or ""
            if isinstance(part, ast.FunctionDef) and (part.name == name or f'"exercise {name}"' in text):
                lines = cell.source.splitlines()
                start = min([part.lineno, *(decorator.lineno for decorator in part.decorator_list)]) - 1
                cell.source = "\n".join([*lines[:start], code.rstrip("\n"), *lines[part.end_lineno :]])
                return
    raise KeyError(f"no stub for {name!r}")


def execute(
    notebook: NotebookNode,
    folder: Path,
    kernel: type[Kernel] = Kernel,
    *,
    env: dict[str, str] | None = None,
    timeout: float = 600.0,
    allow_errors: bool = False,
    done: Callable[[], object] = lambda: None,
) -> Run:
    """Execute a notebook in `folder`, its outputs go into it; `done` is called after each code cell.

    Without `allow_errors` the first error ends the run. A kernel that dies, and the time limit, always do.
    """
    watch = Watch(timeout, allow_errors, done)
    options = {"coalesce_streams": True, "record_timing": False, "resources": {"metadata": {"path": str(folder)}}}
    client = NotebookClient(
        notebook,
        kernel_manager_class=kernel,
        kernel_name="",
        allow_errors=True,  # it is the watch that ends the run: it also knows in which cell
        timeout_func=watch.left,
        on_cell_execute=watch.begins,
        on_cell_executed=watch.ends,
        **options,
    )
    broken = None
    with tempfile.TemporaryDirectory() as profile:  # the person's own start-up files and progress stay out of it
        own = {"IPYTHONDIR": profile, "RECSYS_LAB_PROGRESS_FILE": os.path.join(profile, "progress.json")}
        environment = kernel_environment({**own, **(env or {})})
        try:
            client.execute(env=environment, stderr=subprocess.DEVNULL)
        except (Halt, DeadKernelError, CellTimeoutError) as error:
            broken = error
    return watch.report(notebook, broken)


class Halt(Exception):
    """Ends a run after its first error."""


class Watch:
    """Notes when cells begin and end, and ends a run that has to end."""

    def __init__(self, timeout: float, allow_errors: bool, done: Callable[[], object]):
        self.timeout, self.allow_errors, self.done = timeout, allow_errors, done
        self.start = time.perf_counter()
        self.begun: dict[int, float] = {}
        self.ended: dict[int, float] = {}

    def left(self, cell) -> float:
        """Seconds until the time limit."""
        return max(0.1, self.timeout - (time.perf_counter() - self.start))

    def begins(self, cell, cell_index):
        """Note that a cell begins."""
        self.begun[cell_index] = time.perf_counter()

    def ends(self, cell, cell_index, execute_reply):
        """Note that a cell has ended; `Halt` after an error, where that is asked for."""
        self.ended[cell_index] = time.perf_counter()
        self.done()
        if not self.allow_errors and execute_reply["content"]["status"] == "error":
            raise Halt

    def report(self, notebook: NotebookNode, broken: Exception | None) -> Run:
        """Return what became of the run; `broken` is what ended it early."""
        end = time.perf_counter()
        errors = {index: error_of(notebook.cells[index]) for index in self.begun}
        if isinstance(broken, DeadKernelError):
            errors[max(self.begun)] = "the kernel died"
        if isinstance(broken, CellTimeoutError):
            errors[max(self.begun)] = f"the time limit of {self.timeout:g} s was reached"
        cells = [
            CellRun(index + 1, notebook.cells[index].get("id", ""), self.ended.get(index, end) - begun, errors[index])
            for index, begun in self.begun.items()
        ]
        return Run(cells, end - self.start, broken is None, notebook)


def error_of(cell: NotebookNode) -> str | None:
    """Return the traceback of a cell as plain text, None if there is none."""
    for output in cell.get("outputs", []):
        if output.output_type == "error":
            text = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
            return COLOURS.sub("", text)
    return None


def kernel_environment(more: dict[str, str]) -> dict[str, str]:
    """Return the environment of a kernel: this package, one thread, no bars, and the inline backend for figures."""
    package = str(Path(__file__).resolve().parent.parent)
    paths = [package, *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    env = {**os.environ, **THREADS, "RECSYS_LAB_PROGRESS": "0", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    env = {**env, "MPLBACKEND": "", **more}
    return {name: value for name, value in env.items() if value != ""}
