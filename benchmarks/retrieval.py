"""Searching a part of a large catalogue against searching all of it; and how the shop's list is best put together.

Items are drawn from a mixture of normal distributions fitted to the item vectors of a trained GRU4Rec (bias included),
queries are that model's vectors of real sessions. One query at a time, on one thread. The exact search is one matrix-
vector product (BLAS, float32) and the best twenty of it. Times of a
catalogue are of one run, in alternating blocks.
"""

from __future__ import annotations

import argparse
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from benchmarks import report
from benchmarks.logs import LOGS
from recsys_lab import datasets, models
from recsys_lab.cleaning import Cleaning
from recsys_lab.interactions import Sessions
from recsys_lab.progress import bar
from recsys_lab.serve.bundle import Bundle
from recsys_lab.serve.index import ExactIndex, FaissIndex, InvertedIndex, kmeans
from recsys_lab.serve.retriever import Retriever

K = 20
SIZES = (30_000, 300_000, 1_000_000)
PROBES = {"inverted": (4, 8, 16, 32, 64), "faiss": (4, 8, 16, 32, 64)}
COMPONENTS = 64
WEIGHTS = (
    {"session": 1.0},
    {"neighbours": 1.0},
    {"session": 1.0, "neighbours": 0.5},
    {"session": 1.0, "neighbours": 1.0},
    {"session": 1.0, "user": 0.25},
    {"session": 1.0, "neighbours": 0.5, "user": 0.25},
    {"session": 1.0, "neighbours": 1.0, "user": 0.25},
)


def trained(log: str, n_queries: int) -> tuple[np.ndarray, np.ndarray]:
    """Item vectors of a GRU4Rec, and its queries after clicks of the test part drawn at random."""
    parts = LOGS[log]()
    model = models.GRU4Rec(layers=[64], sample_alpha=0.5, dropout_p_embed=0.0, dropout_p_hidden=0.2, n_epochs=6,
                           device="cpu", seed=1).fit(parts.train)  # fmt: skip
    test = parts.test.recode(model.vocabulary_)
    test = test.where(test.items >= 0)
    rows = np.sort(np.random.default_rng(0).choice(test.n_clicks, n_queries, replace=False))
    vectors = model.item_vectors()
    return vectors[np.isfinite(vectors).all(axis=1)], model.queries(test, rows)


class Mixture:
    """Normal distributions with full covariances, fitted by expectation and maximisation.

    Parameters
    ----------
    vectors : ndarray of float, shape (n, d)
    n_components : int
    shrinkage : float
        Of each covariance towards that of all vectors: a component has few vectors more than dimensions.
    """

    def __init__(self, vectors: np.ndarray, n_components: int = COMPONENTS, rounds: int = 15, shrinkage: float = 0.1):
        x = vectors.astype(np.float64)
        common = np.cov(x.T) * shrinkage
        cell = kmeans(vectors, n_components)[1]
        share = np.eye(n_components)[cell]  # (n, n_components): how much of a vector belongs to each
        for _ in range(rounds):
            counts = share.sum(axis=0) + 1e-9
            self.weights, self.means = counts / counts.sum(), (share.T @ x) / counts[:, None]
            self.roots = []
            for c, mean in enumerate(self.means):
                centred = x - mean
                own = (centred * share[:, c, None]).T @ centred / counts[c]
                self.roots.append(np.linalg.cholesky((1 - shrinkage) * own + common))
            logs = np.stack([self._log_density(x, c) for c in range(n_components)], axis=1)
            logs -= logs.max(axis=1, keepdims=True)
            share = np.exp(logs)
            share /= share.sum(axis=1, keepdims=True)

    def _log_density(self, x: np.ndarray, c: int) -> np.ndarray:
        z = solve_triangular(self.roots[c], (x - self.means[c]).T, lower=True)
        return np.log(self.weights[c]) - np.log(np.diag(self.roots[c])).sum() - 0.5 * (z * z).sum(axis=0)

    def draw(self, n: int, seed: int = 0) -> np.ndarray:
        """Vectors, float32, shape (n, d), in no order."""
        rng = np.random.default_rng(seed)
        component = rng.choice(len(self.weights), n, p=self.weights)
        drawn = np.empty((n, self.means.shape[1]), np.float32)
        for c in range(len(self.weights)):
            rows = np.flatnonzero(component == c)
            drawn[rows] = self.means[c] + rng.normal(size=(len(rows), drawn.shape[1])) @ self.roots[c].T
        return drawn


def one_at_a_time(index, queries: np.ndarray) -> float:
    """Milliseconds a query."""
    started = time.perf_counter()
    for query in queries:
        index.search(query[None], K)
    return 1000 * (time.perf_counter() - started) / len(queries)


def found(index, queries: np.ndarray, right: np.ndarray) -> float:
    """Share of the exact list that an index finds (recall@20)."""
    lists, _ = index.search(queries, K)
    return float(np.mean([np.isin(r, row).mean() for r, row in zip(right, lists, strict=True)]))


def searching(n_items: int, mixture: Mixture, queries: np.ndarray, rounds: int) -> list[dict]:
    """Exact and approximate search of one catalogue."""
    vectors = mixture.draw(n_items)
    exact = ExactIndex(vectors)
    right, _ = exact.search(queries, K)
    rows = [{"items": f"{n_items:,}", "index": "exact", "cells": "", "probed": "", "recall@20": "1.000",
             "ms": [], "index object": exact, "n_probe": None}]  # fmt: skip
    for name, make in (("inverted", InvertedIndex), ("faiss", FaissIndex)):
        index = make(vectors)
        default = index.n_probe
        for index.n_probe in PROBES[name]:
            rows.append({"items": f"{n_items:,}", "index": name, "cells": f"{index.n_cells:,}",
                         "probed": f"{index.n_probe}{' (default)' if index.n_probe == default else ''}",
                         "recall@20": f"{found(index, queries, right):.3f}", "ms": [], "index object": index,
                         "n_probe": index.n_probe})  # fmt: skip
    for _ in range(rounds):
        for row in rows:
            if row["n_probe"]:
                row["index object"].n_probe = row["n_probe"]
            row["ms"].append(one_at_a_time(row["index object"], queries))
    base = np.median(rows[0]["ms"])
    for row in rows:
        ms, index = row.pop("ms"), row.pop("index object")
        del row["n_probe"]
        row["ms a query"] = f"{np.median(ms):.2f} ({min(ms):.2f} to {max(ms):.2f})"
        row["ratio"] = f"{np.median(ms) / base:.3f}"
        row["build, s"], row["memory, MB"] = f"{index.build_seconds:.1f}", f"{index.nbytes / 1e6:.0f}"
    return rows


def last_weeks() -> tuple[Bundle, Sessions]:
    """The bookshop's models, learned from the first 85 % of the events' time, and the visits that began later."""
    shop = datasets.load("bookshop")
    cut = shop.events["timestamp"].sort_values().quantile(0.85)
    early = shop.events.groupby("session_id")["timestamp"].transform("min") < cut
    bundle = Bundle.train(SimpleNamespace(events=shop.events[early].reset_index(drop=True), items=shop.items))
    log = Cleaning(shop.events[~early].reset_index(drop=True)).drop_double_fires().drop_bots().events
    return bundle, Sessions.from_frame(log, validate=False).only("view").longer_than(1)


def fusing(n_sessions: int) -> tuple[list[dict], str]:
    """recall@10 of the shop's lists for the next item, where it is new to the visit, by weights and limit an author."""
    bundle, sessions = last_weeks()
    sessions = sessions.take(np.arange(min(len(sessions), n_sessions)))
    rows = np.setdiff1d(np.arange(sessions.n_clicks), sessions.offsets[1:] - 1)
    owner = sessions.session_of_click
    new = [sessions.items[r + 1] not in sessions.items[sessions.offsets[owner[r]] : r + 1] for r in rows]
    rows = rows[new]
    targets = sessions.vocabulary.decode(sessions.items[rows + 1]).tolist()
    hits = {}
    for limit in (2, None):
        for weights in WEIGHTS:
            retriever = Retriever(bundle, weights=weights, max_per_author=limit)
            lists = retriever.batch(sessions, rows, 10)
            hits[limit, str(weights)] = np.array([t in row for t, row in zip(targets, lists, strict=True)], float)
            retriever.close()
    return [_compared(limit, weights, hits, owner[rows]) for limit, weights in hits], (
        f"{len(rows):,} next items in {len(np.unique(owner[rows])):,} visits.")  # fmt: skip


def _compared(limit, weights: str, hits: dict, visit: np.ndarray) -> dict:
    own, base = hits[limit, weights], hits[limit, str(WEIGHTS[0])]
    return {
        "an author": "no limit" if limit is None else f"{limit} at most",
        "weights": weights.strip("{}").replace("'", ""),
        "recall@10": f"{own.mean():.4f} ± {standard_error(own, visit):.4f}",
        "minus session alone": f"{(own - base).mean():+.4f} ± {standard_error(own - base, visit):.4f}",
    }


def standard_error(values: np.ndarray, visit: np.ndarray) -> float:
    """Standard error of a mean over clicks, where clicks of one visit belong together."""
    sums = np.bincount(np.unique(visit, return_inverse=True)[1], values - values.mean())
    return float(np.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / len(values))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="rsc15-100k", choices=["bookshop", "rsc15-100k", "diginetica"])
    parser.add_argument("--items", type=int, nargs="*", default=SIZES, help="sizes of the catalogues; none: skip this")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3, help="counted blocks of each side (default 3)")
    parser.add_argument("--sessions", type=int, default=1200, help="visits for the shop's list; 0: skip this")
    parser.add_argument("--print", action="store_true", help="print instead of writing benchmarks/README.md")
    args = parser.parse_args()
    made = report.made_by(report.command_line("benchmarks.retrieval"))
    with threadpool_limits(1), bar(len(args.items) + bool(args.sessions), "retrieval", unit="part") as drawn:
        sections = {}
        if args.items:
            vectors, queries = trained(args.log, args.queries)
            mixture, rows = Mixture(vectors), []
            for n_items in args.items:
                rows += searching(n_items, mixture, queries, args.rounds)
                drawn.update()
            about = f"{len(vectors):,} vectors of {args.log}, {COMPONENTS} components, {len(queries)} queries."
            sections["retrieval"] = f"{made} {about}\n\n{report.markdown(pd.DataFrame(rows))}"
        if args.sessions:
            rows, about = fusing(args.sessions)
            drawn.update()
            sections["fusion"] = f"{made} {about}\n\n{report.markdown(pd.DataFrame(rows))}"
    for name, text in sections.items():
        print(text) if args.print else report.write_section(name, text)


if __name__ == "__main__":
    main()
