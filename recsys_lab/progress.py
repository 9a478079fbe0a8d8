"""Progress bars: asked for by an argument, drawn by tqdm, silent in stored notebook outputs."""

from __future__ import annotations

import os


def bar(total: int, what: str, show: bool = True, unit: str = "it", **options):
    """Return a tqdm bar for notebook or terminal; `show=False` or ``RECSYS_LAB_PROGRESS=0`` draws nothing."""
    from tqdm.auto import tqdm

    hidden = not show or os.environ.get("RECSYS_LAB_PROGRESS") == "0"
    return tqdm(total=total, desc=what, unit=unit, disable=hidden, **options)
