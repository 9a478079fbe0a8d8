"""The simulated shop beside real logs: writes the tables and the figure of data/README.md.

``python -m benchmarks.calibration`` needs the real logs (RECSYS_LAB_DATA). No number of that page is typed by hand.
"""

from __future__ import annotations

import time
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from recsys_lab import bookshop, datasets, margins
from recsys_lab.bookshop import files, making
from recsys_lab.cleaning import Cleaning
from recsys_lab.interactions import Sessions

README = files.data_folder() / "README.md"
FIGURE = files.data_folder() / "calibration.svg"
SHOP = "bookshop (simulated)"
#: What each log may be asked (data README of the course): lengths, popularity and repeats, or gaps, or both.
MAY_SAY = {
    SHOP: {"sessions", "gaps"},
    "rsc15-100k": {"sessions", "gaps"},
    "diginetica": {"sessions"},
    "trivago-100k, click-outs": {"gaps"},
}
#: Okabe and Ito's colours, which colour-blind readers can tell apart; and line styles, for print in grey.
STYLES = {
    SHOP: {"color": "#D55E00", "lw": 2.6, "zorder": 5},
    "rsc15-100k": {"color": "#0072B2", "lw": 1.6, "ls": "--"},
    "diginetica": {"color": "#009E73", "lw": 1.6, "ls": "-."},
    "trivago-100k, click-outs": {"color": "#555555", "lw": 1.6, "ls": ":"},
}


def views_of(events: pd.DataFrame) -> Sessions:
    """Views of people: double fires and bots removed, sessions of at least two views."""
    clean = Cleaning(events).drop_double_fires().drop_bots().events
    return Sessions.from_frame(clean[clean["event"] == "view"]).longer_than(1)


def real_logs() -> dict[str, Sessions]:
    """Sessions of at least two clicks; the published train parts where the log came in parts."""
    return {
        "rsc15-100k": datasets.load("rsc15-100k").sessions("train").longer_than(1),
        "diginetica": datasets.load("diginetica").sessions("train").longer_than(1),
        "trivago-100k, click-outs": datasets.load("trivago-100k").sessions(events=["clickout_item"]).longer_than(1),
    }


def table(logs: dict[str, Sessions]) -> str:
    """Summaries side by side; a dash where a log cannot be asked."""
    columns = {}
    for name, sessions in logs.items():
        column = margins.summary(sessions)
        about_gaps, size = column.index.str.startswith("gap"), column.index.isin(["sessions", "clicks", "items"])
        column[about_gaps & ("gaps" not in MAY_SAY[name])] = np.nan
        column[~about_gaps & ~size & ("sessions" not in MAY_SAY[name])] = np.nan
        columns[name] = column
    return markdown(pd.DataFrame(columns).apply(lambda row: row.map(lambda x: number(row.name, x)), axis=1))


def number(name: str, x: float) -> str:
    """Format one margin: counts whole, times and lengths with one decimal, shares as percent."""
    if np.isnan(x):
        return "–"
    if name in ("sessions", "clicks", "items") or name.startswith("length"):
        return f"{x:,.0f}"
    if name.startswith("gap"):
        return f"{x:.0f}"
    return f"{x:.2f}" if name == "mean length" else f"{100 * x:.1f} %"


def markdown(frame: pd.DataFrame) -> str:
    """Write a frame of strings as a Markdown table."""
    rows = [["", *frame.columns], ["---"] + ["---:"] * frame.shape[1]]
    rows += [[str(index), *map(str, row)] for index, row in zip(frame.index, frame.to_numpy(), strict=True)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def figure(logs: dict[str, Sessions]) -> None:
    """Draw the four margins and write them as SVG, the same bytes for the same data."""
    mpl.rcParams |= {"svg.hashsalt": "recsys-lab", "font.size": 10, "svg.fonttype": "none", "font.family": "sans-serif"}
    fig, axes = plt.subplots(2, 2, figsize=(8.4, 6.4), layout="constrained")
    panels = (lengths_panel, popularity_panel, repeats_panel, gaps_panel)
    for axis, panel in zip(axes.flat, panels, strict=True):
        panel(axis, logs)
        axis.grid(alpha=0.25, lw=0.6)
        axis.spines[["top", "right"]].set_visible(False)
    fig.savefig(FIGURE, metadata={"Date": None})
    plt.close(fig)


def _asked(logs: dict[str, Sessions], what: str) -> dict[str, Sessions]:
    return {name: sessions for name, sessions in logs.items() if what in MAY_SAY[name]}


def lengths_panel(axis, logs) -> None:
    """Share of sessions that are at least so long."""
    points = {SHOP: (9, -36, -66), "rsc15-100k": (3, -2, -56), "diginetica": (7, 30, 14)}
    for name, sessions in _asked(logs, "sessions").items():
        share = margins.length_shares(sessions)
        longer = share[::-1].cumsum()[::-1]
        axis.step(longer.index, longer, where="mid", **STYLES[name])
        _label(axis, name, longer, *points[name])
    ticks = [2, 3, 5, 10, 20, 50]
    axis.set(xscale="log", yscale="log", xlim=(1.9, 70), ylim=(1e-3, 1.2), title="How long sessions are")
    axis.set_xticks(ticks, [str(t) for t in ticks])
    axis.set_xticks([], minor=True)
    axis.set(xlabel="views", ylabel="share of sessions at least so long")
    _percent(axis.yaxis, [0.001, 0.01, 0.1, 1])


def popularity_panel(axis, logs) -> None:
    """Share of clicks on the most popular share of items."""
    points = {SHOP: (0.28, -95, 4), "rsc15-100k": (0.02, -30, 24), "diginetica": (0.06, 28, -22)}
    for name, sessions in _asked(logs, "sessions").items():
        curve = margins.popularity_curve(sessions)
        axis.plot(curve.index, curve, **STYLES[name])
        _label(axis, name, curve, *points[name])
    axis.set(xscale="log", xlim=(1e-3, 1), ylim=(0, 1), title="How views spread over items")
    axis.set(xlabel="most viewed share of the items", ylabel="their share of all views")
    _percent(axis.xaxis, [0.001, 0.01, 0.1, 1])
    _percent(axis.yaxis, [0, 0.25, 0.5, 0.75, 1])


def repeats_panel(axis, logs) -> None:
    """Share of repeats by position in the session."""
    points = {SHOP: (8, -20, -56), "rsc15-100k": (6, -20, 26), "diginetica": (11, -8, -18)}
    for name, sessions in _asked(logs, "sessions").items():
        by_position = pd.Series(margins.repeats(sessions)).groupby(sessions.positions + 1).mean().loc[2:12]
        axis.plot(by_position, **STYLES[name])
        _label(axis, name, by_position, *points[name])
    axis.set(xlim=(2, 12), ylim=(0, 0.65), title="Views of an item seen before")
    axis.set(xlabel="position in the session", ylabel="share of the views there")
    _percent(axis.yaxis, [0, 0.2, 0.4, 0.6])


def gaps_panel(axis, logs) -> None:
    """Distribution of the seconds between two clicks."""
    points = {SHOP: (150, -78, 22), "rsc15-100k": (17, -30, 30), "trivago-100k, click-outs": (130, 12, -26)}
    for name, sessions in _asked(logs, "gaps").items():
        at, seconds = np.geomspace(1, 3600, 200), np.sort(margins.gaps(sessions))
        share = pd.Series(np.searchsorted(seconds, at, side="right") / len(seconds), index=at)
        axis.plot(share, **STYLES[name])
        _label(axis, name, share, *points[name])
    ticks = {1: "1 s", 10: "10 s", 60: "1 min", 600: "10 min", 3600: "1 h"}
    axis.set(xscale="log", xlim=(1, 3600), ylim=(0, 1), title="Time from one view to the next")
    axis.set_xticks(list(ticks), list(ticks.values()))
    axis.set_xticks([], minor=True)
    axis.set(xlabel="pause", ylabel="share of pauses at most so long")
    _percent(axis.yaxis, [0, 0.25, 0.5, 0.75, 1])


def _asked(logs: dict[str, Sessions], what: str) -> dict[str, Sessions]:
    return {name: sessions for name, sessions in logs.items() if what in MAY_SAY[name]}


def _label(axis, name: str, curve: pd.Series, x: float, right: float, up: float) -> None:
    """Write a log's name so many points right of and above its curve at x, with a thin line to it."""
    at = curve.index[np.searchsorted(curve.index, x)]
    color = STYLES[name]["color"]
    label = axis.annotate(
        name.replace(", ", ",\n"),
        (at, curve[at]),
        (right, up),
        textcoords="offset points",
        color=color,
        weight="bold" if name == SHOP else "normal",
        fontsize=9.5,
        ha="left" if right > 0 else "center",
        va="center",
        arrowprops={"arrowstyle": "-", "color": color, "lw": 0.7},
    )
    label.set_in_layout(False)  # or the panels would shrink to make room for it


def _percent(axis, ticks) -> None:
    axis.set_ticks(ticks, [f"{100 * tick:g} %" for tick in ticks])
    axis.set_ticks([], minor=True)


def files_table() -> str:
    """Every data file with rows, size and columns."""
    rows = []
    for name in making.recorded(files.data_folder()):
        path = files.data_folder() / name
        if path.suffix == ".parquet":
            schema = pq.read_schema(path)
            count, columns = f"{pq.read_metadata(path).num_rows:,}", [f"`{f.name}` {f.type}" for f in schema]
            vectors = [c for c in columns if c[1] == "v" and c[2].isdigit()]
            columns = [c for c in columns if c not in vectors] + ([f"{vectors[0]} … {vectors[-1]}"] if vectors else [])
        elif path.suffix == ".csv":
            books = bookshop.catalogue()
            count, columns = f"{len(books):,}", [f"`{c}`" for c in books]
        else:
            count, columns = "–", ["fields of `recsys_lab.bookshop.Settings`"]
        rows.append([f"`{name}`", count, f"{path.stat().st_size / 1024:,.0f}", ", ".join(columns)])
    frame = pd.DataFrame(rows, columns=["file", "rows", "KiB", "columns"]).set_index("file")
    return markdown(frame).replace("| ---: |\n", "| --- |\n", 1)


def defects_table() -> str:
    """How many of each planted defect."""
    truth, events = bookshop.truth(), bookshop.load()["events"]
    bots = int((truth.sessions["intent"] == "bot").sum())
    what = {
        "bot": f"{bots} sessions of machines: hundreds of views, a second or less apart; no list was shown to them",
        "double_fire": "a view or cart event sent again within a second under another `event_id`, which is labelled",
        "late": "rows that stand in the file where they arrived, minutes to hours after their `timestamp`",
        "return": "a purchase sent back 3 to 14 days later, with the `session_id` of the purchase",
    }
    counts = truth.defects["defect"].value_counts()
    rows = {
        name: [f"{counts[name]:,}", f"{100 * counts[name] / len(events):.2f} %", text] for name, text in what.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["events", "of the log", "what it is"])
    return markdown(table).replace("---: |\n", "--- |\n", 1)


def values_table(n_sessions: int = 10_000, seeds=range(5)) -> str:
    """True value of the baseline policies: mean over seeds, and the standard deviation between seeds."""
    truth = bookshop.truth()
    policies = {
        "uniform": bookshop.Uniform(),
        "most popular": bookshop.MostPopular(),
        "logging policy": bookshop.logging_policy(truth),
        "oracle (clicks)": bookshop.Oracle(),
    }
    rows, start = {}, time.process_time()
    for name, policy in policies.items():
        values = pd.DataFrame([bookshop.simulate(policy, n_sessions, seed).value for seed in seeds])
        rows[name] = [f"{m:.3f} ± {s:.3f}" for m, s in zip(values.mean(), values.std(), strict=True)]
        seconds = (time.process_time() - start) / len(seeds)
        print(f"{name}: {seconds:.1f} s of processor time for {n_sessions:,} visits")
        start = time.process_time()
    return markdown(pd.DataFrame.from_dict(rows, orient="index", columns=list(values)))


def fill(text: str, blocks: dict[str, str]) -> str:
    """Put each block between its markers."""
    for name, block in blocks.items():
        begin, end = f"<!-- {name}: written by benchmarks.calibration -->", f"<!-- /{name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}\n\n{block}\n\n{end}{rest.split(end)[1]}"
    return text


def main() -> None:
    """Write the blocks and the figure."""
    logs = {SHOP: views_of(bookshop.load()["events"])} | real_logs()
    figure(logs)
    blocks = {"files": files_table(), "defects": defects_table(), "calibration": table(logs), "values": values_table()}
    README.write_text(fill(README.read_text(encoding="utf-8"), blocks), encoding="utf-8", newline="\n")
    print(f"wrote {Path(README.parent.name, README.name)} and {FIGURE.name}")


if __name__ == "__main__":
    main()
