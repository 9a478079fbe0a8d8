"""Models and evaluation beside public peers, in one run, as ratios.

- Session neighbours and rules against the session-rec framework (Ludewig, Jannach and others), given the path to a
  checkout of https://github.com/rn5l/session-rec; the scores have to be the same.
- `ALS` against `implicit` itself, and `evaluate_held_out` against `implicit.evaluation.ranking_metrics_at_k`.

One thread; process CPU time; the sides take turns. Without a checkout, or without a log, those rows are left out.
"""

from __future__ import annotations

import argparse
import sys
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from benchmarks import logs, report
from benchmarks.speed import Factors, alternate
from recsys_lab import models
from recsys_lab.download import DataFileError
from recsys_lab.held_out import evaluate_held_out
from recsys_lab.histories import user_items
from recsys_lab.interactions import Sessions
from recsys_lab.models.session_knn import _Visit
from recsys_lab.progress import bar


def import_session_rec(path: Path) -> types.SimpleNamespace:
    """The framework's three models, made to run with today's numpy; it is neither changed nor copied."""
    if not (path / "algorithms" / "knn" / "vsknn.py").is_file():
        raise SystemExit(f"{path} is no checkout of session-rec: algorithms/knn/vsknn.py is not in it.")
    sys.path.insert(0, str(path))
    if not hasattr(np, "in1d"):
        np.in1d = np.isin  # noqa: NPY201  # removed from numpy since
    try:
        import pympler  # noqa: F401  # imported there, hardly used
    except ImportError:
        sys.modules["pympler"] = types.ModuleType("pympler")
        sys.modules["pympler"].asizeof = sys.modules["pympler.asizeof"] = types.ModuleType("pympler.asizeof")
    from algorithms.baselines.ar import AssociationRules
    from algorithms.baselines.sr import SequentialRules
    from algorithms.knn.vsknn import VMContextKNN

    return types.SimpleNamespace(vsknn=VMContextKNN, ar=AssociationRules, sr=SequentialRules)


def faster(what: str, table: pd.DataFrame, base: str, unit: str = "s") -> list[dict]:
    """Rows of the section, with how many times as fast as the base each side is."""
    return [
        {
            "what": what,
            "side": name,
            f"CPU {unit}": f"{t.s:.3f} ({t.low:.3f} to {t.high:.3f})",
            "times as fast": f"{table.loc[base, 's'] / t.s:.1f}" if name != base else "",
        }
        for name, t in table.iterrows()
    ]


def frame_of(sessions: Sessions) -> pd.DataFrame:
    """The framework's form of a log: item indices, times in seconds, session after session."""
    return pd.DataFrame(
        {
            "SessionId": sessions.session_of_click,
            "ItemId": sessions.items.astype(np.int64),
            "Time": sessions.times / 1e9 if sessions.has_time else sessions.session_of_click.astype(float),
        }
    )


def neighbours(peer, parts: logs.Parts, n_sessions: int, rounds: int, drawn) -> tuple[list[dict], str]:
    """Recommendations for every click of some test sessions: scores of the whole catalogue, the same on both sides."""
    asked = parts.test.part(0, n_sessions)
    asked = asked.where(asked.items >= 0)
    theirs = peer.vsknn(500, 5000, weighting="quadratic", weighting_score="div", idf_weighting=5)
    theirs.fit(frame_of(parts.train))
    ours = models.SessionKNN().fit(parts.train)
    items, ids = np.arange(parts.train.n_items), parts.train.vocabulary.ids

    def by_them() -> np.ndarray:
        theirs.session = -1
        return np.array(
            [
                theirs.predict_next(int(session), int(item), items, timestamp=0).to_numpy()
                for session, item in zip(asked.session_of_click, asked.items, strict=True)
            ]
        )

    def one_by_one() -> None:
        for session in asked:
            clicks = ids[session].tolist()
            for seen in range(1, len(clicks) + 1):
                ours.recommend(clicks[:seen], k=20)

    sides: dict[str, Callable] = {
        "session-rec V-SKNN": by_them,
        "SessionKNN.score": lambda: ours.score(asked),
        "SessionKNN.recommend, one at a time": one_by_one,
    }
    table = alternate(sides, rounds, drawn) * 1000 / asked.n_clicks
    scores = ours.score(asked).astype(np.float64)
    scores /= scores.max(axis=1, keepdims=True)
    same = np.isclose(scores, np.nan_to_num(by_them()), rtol=1e-5, atol=1e-7).all(axis=1)
    tied = [_cut_is_a_tie(ours, asked, row) for row in np.flatnonzero(~same)]
    note = f"{same.sum():,} of {len(same):,} rows of scores are the same to 1e-5"
    if len(tied):
        note += f"; in {sum(tied)} of the other {len(tied)} neighbours tie at the last place"
    if not all(tied):
        raise AssertionError(f"not the same result: {note}.")
    return faster("a recommendation after a click", table, "session-rec V-SKNN", "ms"), note


def _cut_is_a_tie(model: models.SessionKNN, asked: Sessions, row: int) -> bool:
    """Whether the k-th neighbour and the next one are equally similar, so that which of them counts is an accident."""
    session = asked.session_of_click[row]
    clicks = asked.items[asked.offsets[session] : row + 1].tolist()
    wider = models.SessionKNN(**{**model.get_params(), "k": model.k + 1})
    vars(wider).update({name: value for name, value in vars(model).items() if name.endswith("_")})
    _, similarity, _ = _Visit(wider).neighbours(clicks, goes_on=False)
    similarity = np.sort(similarity)
    if len(similarity) > model.k:
        return bool(np.isclose(similarity[0], similarity[1], rtol=1e-6))
    touched = sum(model.postings_offsets_[i + 1] - model.postings_offsets_[i] for i in set(clicks))
    return touched > model.sample_size  # the same accident among the latest sessions


def rules(peer, parts: logs.Parts, name: str, rounds: int, drawn) -> list[dict]:
    """Fitting rules, from each side's own form of the log."""
    frame = frame_of(parts.train)
    rows = []
    for kind, theirs, ours in (
        ("association rules", lambda: peer.ar(pruning=20), models.AssociationRules),
        ("sequential rules", lambda: peer.sr(steps=20, weighting="quadratic", pruning=20), models.SequentialRules),
    ):
        base = f"session-rec {kind}"
        sides = {base: lambda t=theirs: t().fit(frame), ours.__name__: lambda o=ours: o().fit(parts.train)}
        rows += faster(f"fit {kind}, {name}", alternate(sides, rounds, drawn), base)
    return rows


def factorisation(name: str, parts: logs.Parts, rounds: int, drawn) -> list[dict]:
    """`ALS` from sessions against `implicit` from the finished matrix."""
    from implicit.cpu.als import AlternatingLeastSquares

    matrix = user_items(parts.train)
    options = {"factors": 64, "regularization": 0.1, "alpha": 1.0, "iterations": 10, "random_state": 0}
    sides = {
        "implicit": lambda: AlternatingLeastSquares(num_threads=1, **options).fit(matrix, show_progress=False),
        "ALS": lambda: models.ALS(**options).fit(parts.train),
    }
    return faster(f"fit ALS, 64 factors, 10 iterations, {name}", alternate(sides, rounds, drawn), "implicit")


def hidden_items(name: str, parts: logs.Parts, rounds: int, drawn) -> tuple[list[dict], str]:
    """The same factors, the same hidden items, the same metrics."""
    from implicit.cpu.als import AlternatingLeastSquares
    from implicit.evaluation import ranking_metrics_at_k

    matrix = user_items(parts.train)
    peer = AlternatingLeastSquares(factors=64, num_threads=1, iterations=3, random_state=0)
    peer.fit(matrix, show_progress=False)
    hidden = user_items(parts.test).astype(bool).astype(np.float32)
    model = Factors(parts.train.n_items, 64, len(parts.train))
    model.rows, model.items, model.vocabulary_ = peer.user_factors, peer.item_factors, parts.train.vocabulary

    def theirs() -> dict:
        return ranking_metrics_at_k(peer, matrix, hidden, K=20, show_progress=False, num_threads=1)

    def product() -> None:
        for start in range(0, len(model.rows), 1024):
            model.rows[start : start + 1024] @ model.items.T

    known = parts._replace(train=_numbered(parts.train), test=_numbered(parts.test))
    sides = {
        "implicit ranking_metrics_at_k": theirs,
        "evaluate_held_out": lambda: evaluate_held_out(model, known.train, known.test),
        "evaluate_held_out, lists=False": lambda: evaluate_held_out(model, known.train, known.test, lists=False),
        "matrix product alone": product,
    }
    table = alternate(sides, rounds, drawn)
    found, reference = evaluate_held_out(model, known.train, known.test), theirs()
    n = np.diff(found.offsets)
    pairs = {
        "NDCG": (found.ndcg, reference["ndcg"]),
        "precision": ((found.values("recall") * n).sum() / np.minimum(n, 20).sum(), reference["precision"]),
        "MAP": ((found.values("map") * n / np.minimum(n, 20)).mean(), reference["map"]),
    }
    for metric, (ours, other) in pairs.items():
        if abs(ours - other) > 5e-5:
            raise AssertionError(f"not the same result: {metric}@20 {ours} here, {other} by implicit.")
    rows = faster(f"evaluate {len(n):,} users of {name}", table, "implicit ranking_metrics_at_k")
    note = "The same to 4 decimals: " + ", ".join(f"{m}@20 {ours:.4f}" for m, (ours, _) in pairs.items())
    return rows, note


def _numbered(sessions: Sessions) -> Sessions:
    """Sessions whose ids are their numbers, which is how `Factors` finds its rows."""
    return replace(sessions, session_ids=np.arange(len(sessions)))


def measure(args) -> tuple[list[dict], list[str]]:
    rows, notes = [], []
    with threadpool_limits(1), bar(args.rounds * 8, "peers", not args.no_progress, unit="round") as drawn:
        try:
            slice_ = logs.LOGS["rsc15-100k"]()
            films = logs.LOGS["movielens-1m"]()
            wide = logs.LOGS["diginetica"]()
        except DataFileError as error:
            raise SystemExit(f"peers: {str(error).splitlines()[0]}") from error
        if args.session_rec:
            peer = import_session_rec(args.session_rec)
            found, note = neighbours(peer, slice_, args.sessions, args.rounds, drawn)
            rows += [{**row, "CPU s": row.pop("CPU ms") + " ms"} for row in found]
            notes.append(note)
            rows += rules(peer, slice_, "rsc15-100k", args.rounds, drawn)
            rows += rules(peer, wide, "diginetica", 3, drawn)
        else:
            notes.append("Left out for want of a checkout: session-rec")
        rows += factorisation("movielens-1m", films, args.rounds, drawn)
        rows += factorisation("diginetica", wide, 1, drawn)
        found, note = hidden_items("movielens-1m", films, args.rounds, drawn)
        rows += found
        notes.append(note)
    return rows, notes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--session-rec", type=Path, metavar="PATH", help="a checkout of session-rec")
    parser.add_argument("--sessions", type=int, default=150, help="test sessions for the neighbours (default 150)")
    parser.add_argument("--rounds", type=int, default=5, help="counted blocks of each side (default 5)")
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bar")
    parser.add_argument(
        "--print", action="store_true", help="print the section instead of writing benchmarks/README.md"
    )
    args = parser.parse_args()
    rows, notes = measure(args)
    table = pd.DataFrame(rows)[["what", "side", "CPU s", "times as fast"]]
    shown = report.command_line("benchmarks.peers").replace(str(args.session_rec), "PATH")
    section = "\n\n".join([report.made_by(shown), report.markdown(table), *(f"{note}." for note in notes)])
    if args.print:
        print(section)
    else:
        report.write_section("peers", section)


if __name__ == "__main__":
    main()
