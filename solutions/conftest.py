"""How pytest runs the notebooks in this folder: ``pytest --nbval solutions/``.

The sources beside them are no tests. Kernels get one thread and draw no bars, outputs are compared as
``python -m recsys_lab test`` does, and a kernel that dies is noticed at once: nbval by itself waits for the time limit.
"""

import os
import time
from pathlib import Path
from queue import Empty

collect_ignore_glob = ["*.py"]  # the sources: doctest would import them, and so run them whole
SANITIZE = Path(__file__).resolve().parent.parent / "tests" / "nbval_sanitize.cfg"
POLL_SECONDS = 1.0


def pytest_configure(config):
    """Prepare the kernels that nbval will start."""
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))
    os.environ.update(RECSYS_LAB_PROGRESS="0", RECSYS_LAB_PROGRESS_FILE="")  # no bars; nobody's progress is touched
    if not config.pluginmanager.hasplugin("nbval"):
        return
    if not config.option.nbval_sanitize_with and SANITIZE.is_file():
        config.option.nbval_sanitize_with = str(SANITIZE)

    from nbval.kernel import RunningKernel

    RunningKernel.await_reply = await_reply


def await_reply(kernel, msg_id, timeout=None):
    """Wait for the answer to a cell as nbval's own method does, but not for a kernel that is no more."""
    deadline = time.monotonic() + (float("inf") if timeout is None else timeout)
    while True:
        left = deadline - time.monotonic()
        try:
            message = kernel.get_message(stream="shell", timeout=max(0.0, min(POLL_SECONDS, left)))
        except Empty:
            if not kernel.is_alive():
                raise RuntimeError("the kernel died while it ran this cell") from None
            if left <= POLL_SECONDS:
                raise
            continue
        if message["parent_header"].get("msg_id") == msg_id:
            if message["content"]["status"] == "aborted":
                raise RuntimeError("the kernel aborted this cell")
            return
