"""What a room reads, as text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from recsys_lab.serve.poll_report import RoomReport

WIDTH = 88


def as_text(report: RoomReport, titles: Mapping, encoding: str | None = "utf-8", without: str = "") -> str:
    """Write a report in lines of at most 88 characters.

    Parameters
    ----------
    report : RoomReport
    titles : mapping of item id to title
    encoding : str, optional
        Of the terminal; what it cannot show is written in ASCII.
    without : str
        Why the session model is missing, if it is.
    """
    who = f"{report.n_people} {'person' if report.n_people == 1 else 'people'}"
    head = f"{who}{' (SIMULATED)' if report.simulated else ''} picked {report.n_books} different books."
    blocks = [[head], _top(report, titles), _pairs(report, titles), _models(report)]
    blocks += [textwrap.wrap(report.verdict, WIDTH), textwrap.wrap(report.caution, WIDTH)]
    if without:
        blocks.append(textwrap.wrap(f"Without the shop's GRU ({without}).", WIDTH))
    text = "\n\n".join("\n".join(block) for block in blocks if block)
    return _plain(text, encoding or "ascii")


def _top(report: RoomReport, titles: Mapping) -> list[str]:
    most = report.top[0][1]
    rows = [f"  {n:>3} {'█' * max(1, round(24 * n / most)):<24} {_cut(titles[item], 56)}" for item, n in report.top]
    return ["Most picked", *rows]


def _pairs(report: RoomReport, titles: Mapping) -> list[str]:
    if not report.together:
        return ["No two people share two books."]
    rows = [
        f"  {pair.both} of {pair.of}  {_cut(titles[pair.item_id], 36)} → {_cut(titles[pair.with_item_id], 36)}"
        for pair in report.together
    ]
    return ["People who picked … also picked …", *rows]


def _models(report: RoomReport) -> list[str]:
    if not report.models:
        return []
    head = f"The hidden last pick of {report.n_asked} people, among the first {report.k} (95 % interval)"
    rows = [
        f"  {m.name:<16} {m.hits.sum():>3} of {m.n:<4} {100 * m.rate:>4.0f} %"
        f"  ({100 * m.low:.0f} to {100 * m.high:.0f} %)  learned from {m.knows}"
        for m in report.models
    ]
    return [head, *rows, f"  {'by chance':<28} {100 * report.chance:>4.0f} %"]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _plain(text: str, encoding: str) -> str:
    try:
        text.encode(encoding)
        return text
    except (UnicodeEncodeError, LookupError):
        for fancy, simple in {"█": "#", "→": "->", "…": "..."}.items():
            text = text.replace(fancy, simple)
        return text.encode("ascii", "replace").decode()
