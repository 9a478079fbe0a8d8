"""Our figures beside known ones, and which model is first on the shop and on real logs.

Real logs are looked for as `recsys_lab.datasets` does (RECSYS_LAB_DATA, cache, download); one that is not to be had is
left out, and the section says so.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks import logs, report
from recsys_lab import datasets, models
from recsys_lab.download import DataFileError
from recsys_lab.evaluate import evaluate
from recsys_lab.interactions import Sessions
from recsys_lab.progress import bar

MODELS = [
    models.Popularity(),
    models.SessionPopularity(),
    models.AssociationRules(),
    models.SequentialRules(),
    models.ItemKNN(),
    models.SessionKNN(),
]
LOGS = ("bookshop", "rsc15-100k", "diginetica", "retailrocket-behaviours")
# Computed independently of this package on the same tables, or printed in the papers named in the text below.
KNOWN = pd.DataFrame(
    [
        ("diginetica", "Popularity", "recomputed", 0.0093, 0.0021),
        ("diginetica", "SessionPopularity", "recomputed", 0.2051, 0.1361),
        ("diginetica", "ItemKNN", "recomputed", 0.3727, 0.1199),
        ("rsc15-100k", "SessionKNN", "session-rec, run on this split", 0.688, 0.367),
        ("diginetica", "GRU4Rec", "SR-GNN paper", 0.2945, 0.0833),
        ("diginetica", "NARM", "SR-GNN paper", 0.4970, 0.1617),
        ("diginetica", "SR-GNN", "SR-GNN paper", 0.5073, 0.1759),
        ("rsc15-100k, first 387", "AssociationRules", "session-rec lists", 0.5917, 0.3160),
        ("rsc15-100k, first 387", "SequentialRules", "session-rec lists", 0.5607, 0.3275),
    ],
    columns=["log", "model", "source", "recall@20", "mrr@20"],
)


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
        if log not in parts or name not in [type(model).__name__ for model in MODELS]:
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


def order_here(name: str, parts: logs.Parts, drawn) -> dict:
    """The models of this file on one log, best first, by two metrics."""
    found = []
    for template in MODELS:
        result = evaluate(type(template)(**template.get_params()).fit(parts.train), parts.test, lists=False)
        found.append({"model": type(template).__name__, "recall": result.recall, "mrr": result.mrr})
        drawn.update()
    table = pd.DataFrame(found)
    return {"log": name, "by recall@20": order(table, "recall"), "by mrr@20": order(table, "mrr")}


def measure(seeds: int, n_sessions: int, show: bool) -> dict:
    """Model orders of each log, known figures beside ours, and logs left out."""
    orders, cut, missing = [], {}, []
    all_logs: dict[str, Callable] = {name: logs.LOGS[name] for name in LOGS}
    all_logs |= {f"bookshop, seed {s}": lambda s=s: logs.simulated_shop(s, n_sessions) for s in range(1, seeds + 1)}
    with bar(len(all_logs) * len(MODELS), "models x logs", show, unit="model") as drawn:
        for name, read in all_logs.items():
            try:
                parts = read()
            except DataFileError as error:  # not to be had here: no folder, no cache, no network
                missing.append(f"{name}: {str(error).splitlines()[0]}")
                continue
            orders.append(order_here(name, parts, drawn))
            if name in LOGS:
                cut[name] = (parts.train, parts.test)
    return {"orders": pd.DataFrame(orders), "known": beside_known(cut), "missing": missing}


def text(orders, known, missing, seeds: int, n_sessions: int) -> str:
    left_out = "".join(f"\n\nLeft out: {line}" for line in missing)
    return f"""
{report.made_by(report.command_line("benchmarks.known_figures"))}

"Recomputed" figures were computed from the same tables by independent code; "SR-GNN paper" figures are those of Wu et
al. (AAAI 2019) for the same test pairs; "session-rec, run on this split" is that framework's V-SKNN with the parameters
that are our defaults, equals ranked last; "session-rec lists" are the lists published with it, for 387 predictions.
Those lists broke ties in some order of their own, so our value stands with its range from the worst to the best order;
which of several equally strong rules is kept as an item's twentieth differs as well, and moves a hit or two.

{report.markdown(known)}{left_out}

### Which model is first?

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
        report.write_section("known figures", section)


if __name__ == "__main__":
    main()
