"""Loading, `Sessions` and evaluation against plain pandas and a public peer, in one run, as ratios.

The peer for evaluation is `implicit.evaluation.ranking_metrics_at_k` (C++ and BLAS) on the same factors. All sides run
on one thread in alternating blocks; figures are process CPU time, so a busy machine changes the seconds more than the
ratios.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from scipy import sparse
from threadpoolctl import threadpool_limits

from benchmarks import report
from recsys_lab import datasets
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.models.base import Recommender
from recsys_lab.progress import bar
from recsys_lab.registry import obtain, registry


class Factors(Recommender):
    """Random session and item factors: a model whose scores cost one matrix product and nothing else."""

    def __init__(self, n_items: int, n_factors: int, n_rows: int):
        self.n_items, self.n_factors, self.n_rows = n_items, n_factors, n_rows
        rng = np.random.default_rng(0)
        self.rows = rng.normal(size=(n_rows, n_factors)).astype(np.float32)
        self.items = rng.normal(size=(n_items, n_factors)).astype(np.float32)
        self.vocabulary_ = Vocabulary(np.arange(n_items))

    def score(self, sessions: Sessions, rows=None) -> np.ndarray:
        """Multiply the asked rows with the items."""
        # one click a session has a successor, so the session's id is the number of the prediction
        return self.rows[sessions.session_ids[sessions.session_of_click[rows]]] @ self.items.T


def alternate(sides: dict[str, Callable], rounds: int, drawn) -> pd.DataFrame:
    """CPU seconds of each side, in alternating blocks after one warm-up: median, lowest, highest."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, side in sides.items():
            started = time.process_time()
            side()
            if number:
                seconds[name].append(time.process_time() - started)
        drawn.update()
    table = pd.DataFrame(seconds)
    return pd.DataFrame({"s": table.median(), "low": table.min(), "high": table.max()})


def ratios(what: str, table: pd.DataFrame, base: str) -> list[dict]:
    return [
        {
            "what": what,
            "side": name,
            "CPU s": f"{t.s:.3f} ({t.low:.3f} to {t.high:.3f})",
            "ratio": f"{t.s / table.loc[base, 's']:.2f}",
            "to": base,
        }
        for name, t in table.iterrows()
    ]


def loading(rounds: int, drawn) -> list[dict]:
    """`datasets.load` with checksum and validation, against reading the same file and nothing else."""
    name = "diginetica"
    paths, _ = obtain(registry(name))
    sides = {
        "pandas.read_parquet": lambda: [pd.read_parquet(path) for path in paths.values()],
        "datasets.load": lambda: datasets.load(name).events,
    }
    return ratios(f"load {name}", alternate(sides, rounds, drawn), "pandas.read_parquet")


def million_events() -> pd.DataFrame:
    rng, n = np.random.default_rng(0), 1_000_000
    seconds = np.sort(rng.integers(0, 10**7, n))
    frame = pd.DataFrame({"session_id": rng.integers(0, 250_000, n), "item_id": rng.integers(0, 40_000, n) * 7})
    frame["event"] = pd.Categorical(rng.choice(["view", "cart"], n))
    frame["timestamp"] = pd.to_datetime(seconds, unit="s", utc=True)
    frame["event_id"] = np.arange(n)
    return frame


def building(rounds: int, drawn) -> list[dict]:
    """A million events in no useful order to lists of item indices by session."""
    frame = million_events()

    def plain_pandas():
        coded = frame.assign(item=pd.factorize(frame["item_id"], sort=True)[0])
        return coded.sort_values(["session_id", "timestamp"], kind="stable").groupby("session_id")["item"].agg(list)

    sides = {
        "pandas sort + groupby": plain_pandas,
        "Sessions.from_frame": lambda: Sessions.from_frame(frame),
        "Sessions.from_frame, validate=False": lambda: Sessions.from_frame(frame, validate=False),
    }
    return ratios("1,000,000 events", alternate(sides, rounds, drawn), "pandas sort + groupby")


def ranking(n_items: int, n_factors: int, rounds: int, drawn, n_rows: int = 2048) -> list[dict]:
    """Ranks and top-20 lists of 2,048 predictions over a catalogue."""
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.evaluation import ranking_metrics_at_k

    model = Factors(n_items, n_factors, n_rows)
    targets = np.random.default_rng(1).integers(0, n_items, n_rows)
    sessions = Sessions.from_lists([[0, int(t)] for t in targets], model.vocabulary_)
    peer = AlternatingLeastSquares(factors=n_factors, num_threads=1)
    peer.user_factors, peer.item_factors = model.rows, model.items
    test = sparse.csr_matrix((np.ones(n_rows), (np.arange(n_rows), targets)), shape=(n_rows, n_items))
    nothing = sparse.csr_matrix((n_rows, n_items))

    def product():
        for start in range(0, n_rows, 256):
            model.rows[start : start + 256] @ model.items.T

    sides = {
        "matrix product alone": product,
        "evaluate, optimistic, lists=False": lambda: evaluate(model, sessions, ties="optimistic", lists=False),
        "evaluate, middle, lists=False": lambda: evaluate(model, sessions, lists=False),
        "evaluate, optimistic": lambda: evaluate(model, sessions, ties="optimistic"),
        "evaluate, middle": lambda: evaluate(model, sessions),
        "implicit ranking_metrics_at_k": lambda: ranking_metrics_at_k(
            peer, nothing, test, K=20, show_progress=False, num_threads=1
        ),
    }
    table = alternate(sides, rounds, drawn)
    ours, theirs = evaluate(model, sessions).ndcg, sides["implicit ranking_metrics_at_k"]()["ndcg"]
    if abs(ours - theirs) > 1e-4:
        raise AssertionError(f"not the same result: NDCG@20 {ours} here, {theirs} by implicit.")
    return ratios(f"{n_rows:,} predictions x {n_items:,} items, {n_factors} factors", table, "matrix product alone")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7, help="counted blocks of each side (default 7)")
    parser.add_argument(
        "--print", action="store_true", help="print the section instead of writing benchmarks/README.md"
    )
    args = parser.parse_args()
    with threadpool_limits(1), bar(6 * (args.rounds + 1), "speed", unit="round") as drawn:
        rows = loading(args.rounds, drawn) + building(args.rounds, drawn)
        for n_items, n_factors in ((3_000, 100), (15_000, 64), (15_000, 100), (43_000, 100)):
            rows += ranking(n_items, n_factors, args.rounds, drawn)
    section = f"{report.made_by(report.command_line('benchmarks.speed'))}\n\n{report.markdown(pd.DataFrame(rows))}"
    if args.print:
        print(section)
    else:
        report.write_section("speed", section)


if __name__ == "__main__":
    main()
