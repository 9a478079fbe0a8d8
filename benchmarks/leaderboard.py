"""Who wins where: every model on every log that is to be had, with intervals, as a table and as a figure.

Each model's few settings are tried on a validation cut of the training part, the best by NDCG@20 is trained on all of
it, and the test part is asked once. Every finished pair of log and model is kept, so a run that was broken off goes on
where it stopped; a change of the code that made a result, or of its settings, has it measured again.

Real logs are looked for as `recsys_lab.datasets` does (RECSYS_LAB_DATA, cache, download); one that is not to be had is
left out, and the section says so.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import os
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks import logs, report
from benchmarks.leaderboard_text import CSV, FIGURE, README, draw, for_readme, section, summary
from recsys_lab import evaluate, held_out, histories, models, ranking
from recsys_lab.download import DataFileError
from recsys_lab.progress import bar

KEPT = Path(__file__).parent / ".leaderboard"
METRICS = ("recall", "mrr", "ndcg")
K = 20


class Entry(NamedTuple):
    """A model and the settings that are tried; `impressions`: it learns from what was shown, where that is known."""

    name: str
    settings: list[models.Recommender]
    impressions: bool = False


def grid(kind, **options) -> list[models.Recommender]:
    """One model for every combination of the options."""
    found = [{}]
    for name, values in options.items():
        found = [{**done, name: value} for done in found for value in values]
    return [kind(**chosen) for chosen in found]


def knn(variant: str, **options) -> list[models.Recommender]:
    return grid(models.SessionKNN, variant=[variant], k=[100, 500, 1500], **options)


# One setting, the same for all logs: training takes minutes. Lab 06 and benchmarks/gru4rec.py look at others.
GRU = models.GRU4Rec(
    batch_size=128,
    sample_alpha=0.5,
    dropout_p_embed=0.4,
    dropout_p_hidden=0.2,
    n_epochs=6,
    device="cpu",
    seed=1,
)
# From the simplest to the most elaborate: the text names the first of those that nothing is clearly better than.
LINE_UP = [
    Entry("Popularity", [models.Popularity()]),
    Entry("RecentPopularity", grid(models.RecentPopularity, half_life=["6h", "1D", "3D", "14D"])),
    Entry("BetaPopularity", grid(models.BetaPopularity, by=["mean", "lower_bound"]), impressions=True),
    Entry("SessionPopularity", [models.SessionPopularity()]),
    Entry("AssociationRules", grid(models.AssociationRules, n_rules=[20, 100, 500])),
    Entry("SequentialRules", grid(models.SequentialRules, n_rules=[20, 100, 500])),
    Entry("FrequentlyBoughtTogether", grid(models.FrequentlyBoughtTogether, prior=[0.1, 0.5, 5], n_last=[1, None])),
    Entry("ItemKNN", grid(models.ItemKNN, shrinkage=[5, 20, 100], n_last=[1, None])),
    Entry("SKNN", knn("sknn")),
    Entry("V-SKNN", knn("vsknn", weighting=["quadratic", "div"])),
    Entry("STAN", knn("stan", lambda_spw=[1.02, 3.0])),
    Entry("BPR", grid(models.BPR, factors=[64], learning_rate=[0.02, 0.1], iterations=[60])),
    Entry("ALS", grid(models.ALS, factors=[128], regularization=[0.1, 1, 10, 50], alpha=[1, 5, 20])),
    Entry("GRU4Rec", [GRU]),
]


def fitted(entry: Entry, model: models.Recommender, parts: logs.Parts) -> models.Recommender:
    shown = parts.impressions if entry.impressions else None
    return type(model)(**model.get_params()).fit(parts.train, shown)


def chosen(entry: Entry, parts: logs.Parts) -> models.Recommender:
    """The setting that is best on a validation cut of the training part."""
    if len(entry.settings) == 1:
        return entry.settings[0]
    cut = logs.validation(parts)
    found = [cut.evaluate(fitted(entry, model, cut), K).ndcg for model in entry.settings]
    return entry.settings[int(np.argmax(found))]


def measure(entry: Entry, parts: logs.Parts) -> dict:
    """Everything that the table, the figure and the comparisons need: plain numbers and arrays."""
    started = time.process_time()
    best = chosen(entry, parts)
    tuned = time.process_time()
    model = fitted(entry, best, parts)
    trained = time.process_time()
    result = parts.evaluate(model, K)
    asked = time.process_time() - trained
    values = {f"values_{metric}": result.values(metric) for metric in METRICS}
    return {
        "setting": changed(best),
        "coverage": result.coverage,
        "questions": len(values["values_recall"]),
        "fit_s": trained - tuned,
        "tuning_s": tuned - started,
        "question_ms": 1000 * asked / len(values["values_recall"]),
        "groups": result._questions()[0],
        **values,
    }


def changed(model: models.Recommender) -> str:
    """The parameters that are not the defaults."""
    known = inspect.signature(type(model)).parameters
    given = model.get_params().items()
    return ", ".join(f"{name}={value!r}" for name, value in given if value != known[name].default)


def refusal(entry: Entry, parts: logs.Parts) -> str | None:
    """Why a model cannot take part, if it cannot."""
    if entry.name == "RecentPopularity" and not parts.train.has_time:
        return "the log has no times"
    if entry.name == "SessionPopularity" and parts.question == "hidden items":
        return "it repeats what a user has, and that is no candidate here"
    return None


def code_of(entry: Entry) -> str:
    """A hash of what a result depends on: the model, its settings, how it is asked, how the log is cut."""
    kind = type(entry.settings[0])
    modules = [inspect.getmodule(base) for base in kind.__mro__ if base.__module__.startswith("recsys_lab")]
    sources = [inspect.getsource(m) for m in [*modules, evaluate, held_out, histories, ranking, logs]]
    return hashlib.sha256("\0".join([*sources, repr(entry)]).encode()).hexdigest()[:16]


def load(path: Path, code: str) -> dict | None:
    """A kept result of the same code, None where there is none or the file is damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            kept = {name: file[name][()] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
        return None
    return kept if str(kept.pop("code", "")) == code else None


def keep(path: Path, code: str, found: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.savez(file, code=np.array(code), **{name: np.asarray(value) for name, value in found.items()})
    os.replace(part, path)


def run(names: list[str], line_up: list[Entry], fresh: bool, show: bool) -> tuple[dict, dict]:
    """Results by (log, model), and why a log or a model on a log was left out."""
    results, left_out = {}, {}
    with threadpool_limits(1), bar(len(names) * len(line_up), "leaderboard", show, unit="model") as drawn:
        for name in names:
            parts = None
            for entry in line_up:
                drawn.set_postfix_str(f"{name}, {entry.name}")
                path, code = KEPT / name / f"{entry.name}.npz", code_of(entry)
                found = None if fresh else load(path, code)
                if found is None:
                    try:
                        parts = parts or logs.LOGS[name]()
                    except DataFileError as error:  # not to be had here: no folder, no cache, no network
                        left_out[name, ""] = str(error).splitlines()[0]
                        drawn.update(len(line_up))
                        break
                    if why := refusal(entry, parts):
                        left_out[name, entry.name] = why
                    else:
                        found = measure(entry, parts)
                        keep(path, code, found)
                if found is not None:
                    results[name, entry.name] = found
                drawn.update()
    return results, left_out


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [entry.name for entry in LINE_UP]
    parser.add_argument("--logs", nargs="+", choices=list(logs.LOGS), default=list(logs.LOGS), metavar="LOG")
    parser.add_argument("--models", nargs="+", choices=known, default=known, metavar="MODEL")
    parser.add_argument("--fresh", action="store_true", help="measure again what was measured before")
    parser.add_argument("--no-progress", action="store_true", help="draw no progress bar")
    parser.add_argument("--print", action="store_true", help="print the section and write no file of the project")
    args = parser.parse_args(argv)
    line_up = [entry for entry in LINE_UP if entry.name in args.models]
    results, left_out = run(args.logs, line_up, args.fresh, not args.no_progress)
    order = [entry.name for entry in LINE_UP]
    table = summary(results, order)
    text = section(results, table, order, left_out, report.command_line("benchmarks.leaderboard"))
    if args.print:
        print(text)
        return
    table.to_csv(CSV, index=False, float_format="%.5f")
    draw(table, FIGURE)
    report.write_section("leaderboard", text)
    report.write_section("leaderboard", for_readme(results, order), README)
    print(f"{len(table)} rows in {CSV}; the figure is {FIGURE}")


if __name__ == "__main__":
    main()
