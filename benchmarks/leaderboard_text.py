"""The leaderboard as a table, as a figure, and in words that say where the simplest model wins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import report
from recsys_lab import metrics, plots

CSV = Path(__file__).parent / "leaderboard.csv"
FIGURE = Path(__file__).parent / "leaderboard.svg"
METRICS = ("recall", "mrr", "ndcg")
SIMPLE = ("Popularity", "RecentPopularity", "BetaPopularity", "SessionPopularity")
README = Path(__file__).parent.parent / "README.md"
TITLES = {"bookshop": "bookshop (simulated)"}


def summary(results: dict, order: list[str]) -> pd.DataFrame:
    """One row for each log and model: metrics with 95 % bootstrap intervals, coverage, times, the chosen setting."""
    rows = []
    for (log, model), found in results.items():
        row = {"log": log, "model": model}
        for metric in METRICS:
            values = found[f"values_{metric}"]
            low, high, _ = metrics.bootstrap_interval(values, found["groups"])
            row |= {f"{metric}@20": values.mean(), f"{metric}@20 low": low, f"{metric}@20 high": high}
        for name in ("coverage", "questions", "fit_s", "tuning_s", "question_ms", "setting"):
            row[name] = found[name].item() if hasattr(found[name], "item") else found[name]
        rows.append(row)
    table = pd.DataFrame(rows)
    place = {name: i for i, name in enumerate(order)}
    return table.iloc[np.lexsort((table["model"].map(place), pd.factorize(table["log"])[0]))].reset_index(drop=True)


def verdict(results: dict, log: str, order: list[str], metric: str) -> str:
    """Who is first, and which models are not clearly behind (paired intervals at 95 %)."""
    here = {model: results[log, model] for model in order if (log, model) in results}
    means = {model: found[f"values_{metric}"].mean() for model, found in here.items()}
    first = max(means, key=means.get)

    def behind(model: str) -> bool:
        values = (here[m][f"values_{metric}"] for m in (first, model))
        return metrics.compare(*values, here[first]["groups"]).low > 0

    level = [model for model in here if model != first and not behind(model)]
    return f"{first} ({means[first]:.3f})" + (f", level with {_and(level)}" if level else "")


def simplest(results: dict, log: str, order: list[str]) -> str:
    """Say how the best model that knows nothing of how items go together does beside those that do."""
    here = [model for model in order if (log, model) in results]
    parts = []
    for metric in METRICS:
        means = {model: results[log, model][f"values_{metric}"].mean() for model in here}
        simple = max((m for m in SIMPLE if m in means), key=means.get)
        beaten = [m for m in here if m not in SIMPLE and means[m] < means[simple]]
        ahead = f", ahead of {_and(beaten)}" if beaten else ""
        parts.append(f"{_name(metric)} {simple} ({means[simple]:.3f}){ahead}")
    return "; ".join(parts)


def section(results: dict, table: pd.DataFrame, order: list[str], left_out: dict, command: str) -> str:
    """The text of `benchmarks/README.md`."""
    shown = pd.DataFrame({"log": table["log"], "model": table["model"]})
    for metric in METRICS:
        triples = zip(*(table[f"{metric}@20{end}"] for end in ("", " low", " high")), strict=True)
        shown[f"{_name(metric)}"] = [f"{value:.3f} ({low:.3f} to {high:.3f})" for value, low, high in triples]
    shown["coverage"] = table["coverage"]
    shown["fit, CPU s"] = [f"{s:.2f}" for s in table["fit_s"]]
    shown["a question, CPU ms"] = [f"{ms:.2f}" for ms in table["question_ms"]]
    shown["setting"] = [f"`{setting}`" if setting else "" for setting in table["setting"]]
    missing = [f"- {log}{', ' + model if model else ''}: {why}." for (log, model), why in left_out.items()]
    return "\n\n".join(
        [
            report.made_by(command),
            words(results, order),
            report.markdown(shown),
            *(["Left out:", "\n".join(missing)] if missing else []),
        ]
    )


def words(results: dict, order: list[str]) -> str:
    """The verdicts of all logs."""
    lines = []
    for log in dict.fromkeys(log for log, _ in results):
        found = "; ".join(f"{_name(metric)} {verdict(results, log, order, metric)}" for metric in METRICS)
        lines.append(f"- **{TITLES.get(log, log)}.** First: {found}.")
        lines.append(f"  Best of the four simplest: {simplest(results, log, order)}.")
    return "\n".join(lines)


def for_readme(results: dict, order: list[str]) -> str:
    """The figure, who is first on each log, and where one of the simplest models wins."""
    logs = list(dict.fromkeys(log for log, _ in results))
    rows = [
        {"log": TITLES.get(log, log)} | {_name(m): verdict(results, log, order, m) for m in ("recall", "mrr")}
        for log in logs
    ]
    alt = f"Recall@20 and NDCG@20 of every model on {len(logs)} logs, with intervals; the table below names the first."
    picture = f"![{alt}](benchmarks/leaderboard.svg)"
    return "\n\n".join([picture, report.markdown(pd.DataFrame(rows)), simple_wins(results, order)])


def simple_wins(results: dict, order: list[str]) -> str:
    """Say plainly on which logs a model that knows nothing of how items go together is ahead of one that does."""
    lines = []
    for log in dict.fromkeys(log for log, _ in results):
        for part in simplest(results, log, order).split("; "):
            if "ahead of" in part:
                lines.append(f"- {TITLES.get(log, log)}: {part}.")
    if not lines:
        return "None of the four simplest models is ahead of any other on any log."
    return "Where one of the four simplest models is ahead of others:\n\n" + "\n".join(lines)


def draw(table: pd.DataFrame, path: Path) -> None:
    """Recall@20 and NDCG@20 of every model on every log, one panel a log, the best on top."""
    plots.style()
    logs = list(dict.fromkeys(table["log"]))
    columns = min(2, len(logs))
    rows = -(-len(logs) // columns)
    with plots.plt.rc_context({"svg.hashsalt": "recsys-lab", "svg.fonttype": "path"}):
        figure, axes = plots.plt.subplots(rows, columns, figsize=(5.6 * columns, 3.9 * rows), squeeze=False)
        for panel, log in zip(axes.ravel(), logs, strict=False):
            _panel(panel, table[table["log"] == log].sort_values("recall@20"), TITLES.get(log, log))
        for panel in axes.ravel()[len(logs) :]:
            panel.set_axis_off()
        axes[0, 0].legend(loc="lower right", fontsize=10)
        figure.savefig(path, format="svg", metadata={"Date": None})
        plots.plt.close(figure)


def _panel(axes, table: pd.DataFrame, title: str) -> None:
    y = np.arange(len(table))
    for metric, marker, colour, dy in (("recall", "o", plots.COLOURS[0], 0.12), ("ndcg", "s", plots.COLOURS[1], -0.12)):
        low, high = table[f"{metric}@20 low"], table[f"{metric}@20 high"]
        axes.hlines(y + dy, low, high, color=colour, linestyles="-", linewidth=2)
        axes.plot(table[f"{metric}@20"], y + dy, marker, color=colour, linestyle="", label=_name(metric), markersize=5)
    axes.set(yticks=y, yticklabels=table["model"], xlim=(0, None), title=title, ylim=(-0.7, len(table) - 0.3))
    for label in axes.get_yticklabels():
        label.set(fontsize=10, fontweight="bold" if label.get_text() in SIMPLE else "normal")
    axes.tick_params(axis="x", labelsize=10)


def _name(metric: str) -> str:
    return {"mrr": "MRR@20", "ndcg": "NDCG@20"}.get(metric, f"{metric}@20")


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
