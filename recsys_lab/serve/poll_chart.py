"""Charts of the room's page, drawn as SVG on the server: no ids, no styles, colours from the page's classes."""

from __future__ import annotations

import html
from collections.abc import Sequence

ROW, BAR, LEFT, WIDTH = 44, 12, 0, 640


def bars(rows: Sequence[tuple[str, int]], what: str) -> str:
    """Draw one bar a row, the name above it.

    Parameters
    ----------
    rows : sequence of (name, count)
    what : str
        What is counted, for those who do not see the chart.

    Returns
    -------
    str
        An ``<svg>`` with an aria-label that says every row.
    """
    most = max(count for _, count in rows)
    parts = []
    for number, (name, count) in enumerate(rows):
        top, length = number * ROW, max(4.0, (WIDTH - 40) * count / most)
        parts.append(
            f'<text class="chart-name" x="0" y="{top + 16}">{html.escape(_short(name, 66))}</text>'
            f'<rect class="chart-bar" x="0" y="{top + 23}" width="{length:.1f}" height="{BAR}" rx="2"/>'
            f'<text class="chart-count" x="{length + 8:.1f}" y="{top + 34}">{count}</text>'
        )
    label = f"{what}: " + "; ".join(f"{name}, {count}" for name, count in rows)
    return _svg(len(rows) * ROW, label, "".join(parts))


def rates(models: Sequence, chance: float, k: int) -> str:
    """Draw each model's hit rate with its interval, and what a list drawn at random would hit.

    Parameters
    ----------
    models : sequence of `poll_report.Hits`
    chance : float
    k : int
        Length of the lists.

    Returns
    -------
    str
        An ``<svg>`` with an aria-label that says every number.
    """
    left, right, row = 236, WIDTH - 16, 46
    most = min(1.0, max(0.1, *(model.high for model in models)) * 1.05)

    def x(rate: float) -> float:
        return left + (right - left) * rate / most

    height = row * len(models)
    parts = [_tick(x(t), height, f"{100 * t:.0f} %") for t in _ticks(most)]
    parts.append(f'<line class="chart-chance" x1="{x(chance):.1f}" x2="{x(chance):.1f}" y1="0" y2="{height}"/>')
    for number, model in enumerate(models):
        y = number * row + row / 2
        parts.append(
            f'<text class="chart-name" x="0" y="{y - 2:.1f}">{html.escape(model.name)}</text>'
            f'<text class="chart-note" x="0" y="{y + 15:.1f}">learned from {html.escape(model.knows)}</text>'
            f'<line class="chart-range" x1="{x(model.low):.1f}" x2="{x(model.high):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<circle class="chart-dot" cx="{x(model.rate):.1f}" cy="{y:.1f}" r="7"/>'
        )
    said = "; ".join(
        f"{m.name} {100 * m.rate:.0f} %, between {100 * m.low:.0f} and {100 * m.high:.0f} %" for m in models
    )
    label = f"Hit rate at {k} of each model with its 95 % interval: {said}; by chance {100 * chance:.0f} %"
    return _svg(height + 26, label, "".join(parts))


def _ticks(most: float) -> list[float]:
    step = next(s for s in (0.02, 0.05, 0.1, 0.2, 0.25) if most / s <= 5)
    return [i * step for i in range(int(most / step) + 1)]


def _tick(x: float, height: float, text: str) -> str:
    line = f'<line class="chart-grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>'
    return line + f'<text class="chart-note" x="{x:.1f}" y="{height + 18}" text-anchor="middle">{text}</text>'


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _svg(height: float, label: str, inside: str) -> str:
    return (
        f'<svg class="chart" xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{html.escape(label)}" '
        f'viewBox="0 0 {WIDTH} {height:g}">{inside}</svg>'
    )
