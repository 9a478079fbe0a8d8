"""Invented shops of any size for `benchmarks.serve`: a log with the marks of real ones, and the shop's models on it.

Books stand in groups of about 100. A visit picks a group (Zipf), then books of it (Zipf again), with one click in ten
anywhere in the catalogue; its length is geometric with mean 5. The models are the bookshop's own classes and sizes,
trained on this log for one pass: their lists mean little, what they cost is what trained ones cost.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from recsys_lab import models
from recsys_lab.download import cache_folder
from recsys_lab.serve.bundle import Bundle, current

GROUP, MEAN_LENGTH, STRAY = 100, 5, 0.1
MOST_CLICKS = 1_500_000  # of a log
CLICKS = "clicks.npz"  # visits that come later, for the load


def visits(n_items: int, n_sessions: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw visits: item ids from 1, and where each visit begins, both int64."""
    rng = np.random.default_rng(seed)
    lengths = 1 + rng.geometric(1 / (MEAN_LENGTH - 1), n_sessions)
    n_groups = max(1, n_items // GROUP)
    group = np.repeat(_zipf(rng, n_groups, n_sessions), lengths)
    items = group * GROUP + _zipf(rng, GROUP, len(group))
    stray = rng.random(len(items)) < STRAY
    items[stray] = rng.integers(0, n_items, stray.sum())
    return 1 + np.minimum(items, n_items - 1), np.concatenate([[0], np.cumsum(lengths)])


def _zipf(rng, n: int, size: int) -> np.ndarray:
    weights = 1 / np.arange(1, n + 1) ** 0.8
    return rng.choice(n, size, p=weights / weights.sum())


def log(n_items: int) -> pd.DataFrame:
    """Make the log: about ten clicks an item, and each item at least once."""
    n_sessions = min(10 * n_items, MOST_CLICKS) // MEAN_LENGTH
    items, offsets = visits(n_items, n_sessions, seed=0)
    rest = np.setdiff1d(np.arange(1, n_items + 1), items)
    session = np.concatenate(
        [np.repeat(np.arange(n_sessions), np.diff(offsets)), n_sessions + np.arange(len(rest)) // 5]
    )
    items = np.concatenate([items, rest])
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"session_id": session, "item_id": items, "event": "view"})
    last = frame["session_id"].ne(frame["session_id"].shift(-1))
    frame.loc[last & (rng.random(len(frame)) < 0.3), "event"] = "purchase"
    frame["timestamp"] = pd.to_datetime(1_700_000_000 + 20 * np.arange(len(frame)), unit="s", utc=True)
    frame["user_id"] = pd.array(1 + session % max(50, n_sessions // 10), dtype="Int64")
    return frame


def items(n_items: int) -> pd.DataFrame:
    """Make the catalogue."""
    rng, ids = np.random.default_rng(2), np.arange(1, n_items + 1)
    words = np.array(
        [f"{a}{b}" for a in ("mo", "ka", "ri", "ta", "lu", "sa", "no", "vi") for b in ("ra", "len", "dor", "mi")]
    )
    title = [" ".join(row) for row in words[rng.integers(0, len(words), (n_items, 3))]]
    table = pd.DataFrame({"item_id": ids, "title": title, "author": [f"Author {i}" for i in ids // 4]})
    return table.assign(genre=np.array(["crime", "poetry", "travel"])[ids % 3], price=9.5, year=2000)


def shop_models() -> dict:
    """The bookshop's models, with fewer passes over the log."""
    session = models.GRU4Rec(layers=[64], batch_size=512, n_sample=256, sample_alpha=0.75, learning_rate=0.1,
                             dropout_p_embed=0.0, dropout_p_hidden=0.0, n_epochs=1, device="cpu")  # fmt: skip
    return {
        "session": session,
        "neighbours": models.SessionKNN(),
        "user": models.ALS(factors=32, by="user", iterations=1),
        "popular": models.RecentPopularity(half_life="7D"),
        "related": models.ItemKNN(),
        "together": models.FrequentlyBoughtTogether(),
    }


def obtain(n_items: int, say=print) -> Path:
    """Return the folder of a shop of this size; made where it is not there yet."""
    folder = cache_folder() / "bench-shops" / f"{n_items}-v1"
    if current(folder) is None or not (folder / CLICKS).exists():
        say(f"making a shop of {n_items:,} items in {folder}")
        dataset = SimpleNamespace(events=log(n_items), items=items(n_items))
        Bundle.train(dataset, say, shop_models()).save(folder)
        clicks, offsets = visits(n_items, 20_000, seed=3)
        np.savez(folder / CLICKS, clicks=clicks, offsets=offsets)
    return folder
