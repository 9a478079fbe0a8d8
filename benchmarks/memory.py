"""What fitting takes on a million sessions, each model in a process of its own: peak memory and CPU seconds.

The log is drawn: a million sessions of five clicks on average over 40,000 items whose popularity falls like a power of
their rank.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import pandas as pd

from benchmarks import report
from recsys_lab import models
from recsys_lab.interactions import Sessions, Vocabulary
from recsys_lab.progress import bar

MODELS = {
    "Popularity": lambda: models.Popularity(),
    "RecentPopularity": lambda: models.RecentPopularity(),
    "AssociationRules": lambda: models.AssociationRules(),
    "SequentialRules": lambda: models.SequentialRules(),
    "FrequentlyBoughtTogether": lambda: models.FrequentlyBoughtTogether(),
    "ItemKNN": lambda: models.ItemKNN(n_neighbours=100),
    "SessionKNN": lambda: models.SessionKNN(),
    "ALS (64 factors, 1 iteration)": lambda: models.ALS(factors=64, iterations=1),
    "BPR (64 factors, 1 iteration)": lambda: models.BPR(factors=64, iterations=1),
}


def log(n_sessions: int, n_items: int = 40_000) -> Sessions:
    """Sessions with times, straight as arrays."""
    rng = np.random.default_rng(0)
    lengths = rng.geometric(0.2, n_sessions)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    share = np.arange(1, n_items + 1) ** -0.8
    items = rng.choice(n_items, offsets[-1], p=share / share.sum()).astype(np.int32)
    return Sessions(
        items=items,
        offsets=offsets,
        vocabulary=Vocabulary(np.arange(n_items)),
        session_ids=np.arange(n_sessions),
        times=np.sort(rng.integers(0, 30 * 24 * 3600 * 10**9, offsets[-1])),
        has_time=True,
        events=np.zeros(offsets[-1], np.int8),
    )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kibibytes on Linux


def alone(name: str, n_sessions: int) -> None:
    """Fit one model in this process, and print what it took."""
    sessions = log(n_sessions)
    before, started = peak_mb(), time.process_time()
    model = MODELS[name]().fit(sessions)
    fitted, seconds = peak_mb(), time.process_time() - started
    lists = [len(model.recommend(sessions[i].tolist(), k=20)) for i in range(20)]
    found = {"before": before, "fit": fitted, "recommend": peak_mb(), "s": seconds, "listed": int(np.median(lists))}
    print(json.dumps(found))


def measure(name: str, n_sessions: int) -> dict:
    command = [sys.executable, "-m", "benchmarks.memory", "--alone", name, "--sessions", str(n_sessions)]
    one = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=one)
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        "model": name,
        "peak with the log alone, MB": round(found["before"]),
        "peak after fitting, MB": round(found["fit"]),
        "peak after 20 recommendations, MB": round(found["recommend"]),
        "fit, CPU s": round(found["s"], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1_000_000, help="sessions of the log (default 1000000)")
    parser.add_argument("--alone", choices=list(MODELS), metavar="MODEL", help=argparse.SUPPRESS)
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bar")
    parser.add_argument(
        "--print", action="store_true", help="print the section instead of writing benchmarks/README.md"
    )
    args = parser.parse_args()
    if args.alone:
        alone(args.alone, args.sessions)
        return
    rows = []
    with bar(len(MODELS), "memory", not args.no_progress, unit="model") as drawn:
        for name in MODELS:
            rows.append(measure(name, args.sessions))
            drawn.update()
    made = report.made_by(report.command_line("benchmarks.memory"))
    size = f"{args.sessions:,} sessions, {log(args.sessions).n_clicks:,} clicks, 40,000 items."
    section = f"{made}\n\n{size}\n\n{report.markdown(pd.DataFrame(rows), digits=1)}"
    if args.print:
        print(section)
    else:
        report.write_section("memory", section)


if __name__ == "__main__":
    main()
