"""The first models on the shop and on three real logs, with intervals, beside known figures.

Real logs are looked for as `recsys_lab.datasets` does (RECSYS_LAB_DATA, cache, download); one that is not to be had is
left out, and the section says so.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from benchmarks import report
from recsys_lab import bookshop, datasets, models, split
from recsys_lab.cleaning import Cleaning
from recsys_lab.download import DataFileError
from recsys_lab.evaluate import Evaluation, evaluate
from recsys_lab.interactions import Sessions
from recsys_lab.progress import bar

MODELS = [
    models.Popularity(),
    models.SessionPopularity(),
    models.AssociationRules(),
    models.SequentialRules(),
    models.ItemKNN(),
]
# Computed independently of this package on the same tables, or printed in the papers named in the text below.
KNOWN = pd.DataFrame(
    [
        ("diginetica", "Popularity", "recomputed", 0.0093, 0.0021),
        ("diginetica", "SessionPopularity", "recomputed", 0.2051, 0.1361),
        ("diginetica", "ItemKNN", "recomputed", 0.3727, 0.1199),
        ("diginetica", "GRU4Rec", "SR-GNN paper", 0.2945, 0.0833),
        ("diginetica", "NARM", "SR-GNN paper", 0.4970, 0.1617),
        ("diginetica", "SR-GNN", "SR-GNN paper", 0.5073, 0.1759),
        ("rsc15-100k, first 387", "AssociationRules", "session-rec lists", 0.5917, 0.3160),
        ("rsc15-100k, first 387", "SequentialRules", "session-rec lists", 0.5607, 0.3275),
    ],
    columns=["log", "model", "source", "recall@20", "mrr@20"],
)


def shop_views(events: pd.DataFrame) -> Sessions:
    """Views of people: defects out, sessions of two views and more."""
    cleaned = Cleaning(events).drop_double_fires().drop_bots()
    return Sessions.from_frame(cleaned.events, validate=False).only("view").longer_than(1)


def by_time(sessions: Sessions, test: float = 0.2) -> tuple[Sessions, Sessions]:
    train, later, _ = split.by_time(sessions, test)
    return train, later


def shop() -> tuple[Sessions, Sessions]:
    return by_time(shop_views(datasets.load("bookshop").events))


def simulated_shop(seed: int, n_sessions: int) -> tuple[Sessions, Sessions]:
    log = bookshop.simulate(bookshop.logging_policy(), n_sessions=n_sessions, seed=seed)
    return by_time(shop_views(log.events))


def published(name: str) -> tuple[Sessions, Sessions]:
    log = datasets.load(name)
    train = log.sessions("train")
    return train, log.sessions("test", vocabulary=train.vocabulary)


def retailrocket() -> tuple[Sessions, Sessions]:
    events = datasets.load("retailrocket-behaviours").train
    sessions = Sessions.from_frame(events, validate=False).only("view").longer_than(1)
    return by_time(sessions)


LOGS: dict[str, Callable[[], tuple[Sessions, Sessions]]] = {
    "bookshop (simulated)": shop,
    "rsc15-100k": lambda: published("rsc15-100k"),
    "diginetica": lambda: published("diginetica"),
    "retailrocket-behaviours": retailrocket,
}


def evaluated(train: Sessions, test: Sessions) -> Iterator[tuple[Evaluation, float]]:
    """Evaluation and CPU seconds of fitting, model by model."""
    for template in MODELS:
        model = type(template)(**template.get_params())
        started = time.process_time()
        model.fit(train)
        seconds = time.process_time() - started
        yield evaluate(model, test), seconds


def row(log: str, result: Evaluation, seconds: float) -> dict:
    recall, mrr = result.interval("recall"), result.interval("mrr")
    return {
        "log": log,
        "model": result.model.split("(")[0],
        "recall@20": f"{result.recall:.4f} ({recall.low:.4f} to {recall.high:.4f})",
        "mrr@20": f"{result.mrr:.4f} ({mrr.low:.4f} to {mrr.high:.4f})",
        "coverage": result.coverage,
        "predictions": len(result.ranks),
        "fit, CPU s": seconds,
        "_recall": result.recall,
        "_mrr": result.mrr,
    }


def by_ties(model: models.Recommender, test: Sessions, only: pd.MultiIndex | None = None) -> dict[str, tuple]:
    """Recall and MRR (worst, middle, best order of ties), of all predictions or of some (session id, clicks - 1)."""
    found = []
    for ties in ("pessimistic", "middle", "optimistic"):
        result = evaluate(model, test, ties=ties, lists=False)
        asked = pd.MultiIndex.from_arrays([test.session_ids[result.sessions], result.positions - 1])
        mine = np.ones(len(asked), bool) if only is None else asked.isin(only)
        found.append([result.values(metric)[mine].mean() for metric in ("recall", "mrr")])
    return dict(zip(("recall@20", "mrr@20"), zip(*found, strict=True), strict=True))


def beside_known(parts: dict[str, tuple[Sessions, Sessions]]) -> pd.DataFrame:
    """Known figures, and ours for the same predictions where the model is ours."""
    table = KNOWN.copy()
    for metric in ("recall@20", "mrr@20"):
        table[f"{metric} here"] = ""
    for i, (log, name) in enumerate(zip(table["log"], table["model"], strict=True)):
        log, only = log.split(",")[0], None
        if log not in parts or not hasattr(models, name):
            continue
        if log != table["log"][i]:
            reference = datasets.load(log).tables["reference_recommendations"]
            only = pd.MultiIndex.from_frame(reference[["session_id", "position"]].drop_duplicates())
        train, test = parts[log]
        for metric, (low, middle, high) in by_ties(getattr(models, name)().fit(train), test, only).items():
            table.loc[i, f"{metric} here"] = f"{middle:.4f} ({low:.4f} to {high:.4f})"
    for metric in ("recall@20", "mrr@20"):
        table[metric] = [f"{value:.4f}" for value in table[metric]]
    return table[["log", "model", "source", "recall@20", "recall@20 here", "mrr@20", "mrr@20 here"]]


def swapped(orders: pd.DataFrame) -> str:
    """Say in which pairs of models each real log disagrees with the shipped shop."""
    lines, shipped = [], orders.iloc[0]
    for log in orders.to_dict("records"):
        if log["log"].startswith("bookshop"):
            continue
        for metric in ("by recall@20", "by mrr@20"):
            shop_order, real = shipped[metric].split(" > "), log[metric].split(" > ")
            pairs = [(a, b) for a, b in itertools.combinations(shop_order, 2) if real.index(a) > real.index(b)]
            what = ", ".join(f"{b} before {a}" for a, b in pairs) or "the same order as in the shop"
            lines.append(f"- {log['log']}, {metric}: {what}.")
    return "\n".join(lines)


def order(rows: pd.DataFrame, by: str) -> str:
    return " > ".join(rows.sort_values(by, ascending=False)["model"])


def measure(seeds: int, n_sessions: int, show: bool) -> dict:
    """Rows of the main table, model orders of each log, known figures beside ours, and logs left out."""
    rows, orders, published_parts, missing = [], [], {}, []
    simulated = {f"bookshop, seed {s}": lambda s=s: simulated_shop(s, n_sessions) for s in range(1, seeds + 1)}
    with bar((len(LOGS) + seeds) * len(MODELS), "models x logs", show, unit="model") as drawn:
        for name, parts in (LOGS | simulated).items():
            try:
                train, test = parts()
            except DataFileError as error:  # not to be had here: no folder, no cache, no network
                missing.append(f"{name}: {str(error).splitlines()[0]}")
                continue
            found = []
            for result, seconds in evaluated(train, test):
                found.append(row(name, result, seconds))
                drawn.update()
            if name in LOGS:
                rows += found
                published_parts[name] = (train, test)
            table = pd.DataFrame(found)
            orders.append({"log": name, "by recall@20": order(table, "_recall"), "by mrr@20": order(table, "_mrr")})
    known = beside_known(published_parts)
    return {"rows": pd.DataFrame(rows), "orders": pd.DataFrame(orders), "known": known, "missing": missing}


def text(rows, orders, known, missing, seeds: int, n_sessions: int) -> str:
    shown = rows.drop(columns=["_recall", "_mrr"])
    left_out = "".join(f"\n\nLeft out: {line}" for line in missing)
    return f"""
{report.made_by(report.command_line("benchmarks.first_models"))}

Every prefix of every test session, the next item ranked in the whole catalogue, ties in the middle, targets never seen
in training counted as misses; in brackets the 95 % bootstrap interval over sessions. `bookshop` (simulated) and
`retailrocket-behaviours` are cut by time, the latest fifth of the sessions for testing; the others come with their test
part. Retailrocket's views were collapsed to one a user and item, so nobody ever returns to an item there:
`SessionPopularity` must fail, and that says nothing about shops.

{report.markdown(shown)}{left_out}

#### Beside known figures

"Recomputed" figures were computed from the same tables by independent code; "SR-GNN paper" figures are those of Wu et
al. (AAAI 2019) for the same test pairs; "session-rec lists" are the lists published with that framework, for 387
predictions. Those lists broke ties in some order of their own, so our value stands with its range from the worst to
the best order; which of several equally strong rules is kept as an item's twentieth differs as well, and moves a hit
or two.

{report.markdown(known)}

#### Which model is first?

The ranking of models is not calibrated: the shop was made to look like the real logs in its margins only. {seeds} shops
of {n_sessions:,} sessions each, from other seeds, beside the shipped one and the real logs:

{report.markdown(orders)}

Where the real logs differ from the shipped shop:

{swapped(orders)}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="simulated shops for the order of models (default 5)")
    parser.add_argument("--sessions", type=int, default=20_000, help="sessions of each of them (default 20000)")
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bar")
    parser.add_argument(
        "--print", action="store_true", help="print the section instead of writing benchmarks/README.md"
    )
    args = parser.parse_args()
    measured = measure(args.seeds, args.sessions, not args.no_progress)
    section = text(**measured, seeds=args.seeds, n_sessions=args.sessions)
    if args.print:
        print(section)
    else:
        report.write_section("first models", section)


if __name__ == "__main__":
    main()
