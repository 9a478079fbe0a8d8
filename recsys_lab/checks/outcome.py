"""The box that a learner sees: a word and a sign first, then what happened; as HTML and as plain text.

Both are rendered from the same few blocks. The HTML takes its text colour and font from the page and tints the
background only slightly, so it reads well on light and dark alike; what it means never hangs on the colour.
"""

from __future__ import annotations

import html
import textwrap
from dataclasses import dataclass, field

NOT_ATTEMPTED, CORRECT, NOT_YET, RAISED = "not attempted", "correct", "not yet", "your code raised"
HINT, SOLUTION, ABOUT = "hint", "solution", "exercise"

#: Sign, word and the colour of the edge (at least 3 : 1 against white and against near-black).
LOOKS = {
    NOT_ATTEMPTED: ("○", "Not attempted", "#7a828c"),
    CORRECT: ("✓", "Correct", "#2f8f5b"),
    NOT_YET: ("↻", "Not yet", "#b5770d"),
    RAISED: ("!", "Your code raised", "#cf4a52"),
    HINT: ("?", "Hint", "#4f7fbf"),
    SOLUTION: ("=", "Solution", "#4f7fbf"),
    ABOUT: ("·", "Exercise", "#7a828c"),
}

_BOX = (
    "border:1px solid {colour};border-left-width:6px;border-radius:4px;padding:8px 14px;margin:6px 0;max-width:52em;"
    "background:{colour}14;color:inherit;font-family:inherit;line-height:1.45;text-align:left"
)
_SIGN = (
    "display:inline-block;min-width:1.45em;line-height:1.45em;margin-right:.5em;border-radius:.75em;text-align:center;"
    "font-weight:bold;color:#fff;background:{shade}"
)
_CODE = (
    "margin:2px 0 6px;padding:6px 10px;border-radius:3px;white-space:pre-wrap;word-break:normal;"
    "overflow-wrap:break-word;background:rgba(128,128,128,.14);color:inherit;font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.92em"
)
#: Darker shades for the sign's background, at least 4.5 : 1 against its white sign.
_SHADES = {
    NOT_ATTEMPTED: "#626a73",
    CORRECT: "#23754a",
    NOT_YET: "#8f5d08",
    RAISED: "#b8323b",
    HINT: "#38659f",
    SOLUTION: "#38659f",
    ABOUT: "#626a73",
}


@dataclass(frozen=True)
class Text:
    """A paragraph; `strong` for the one sentence to read if only one is read."""

    text: str
    strong: bool = False


@dataclass(frozen=True)
class Code:
    """Something in fixed width, under a label."""

    label: str
    text: str


@dataclass(frozen=True)
class Outcome:
    """What a check, a hint or a solution shows.

    Attributes
    ----------
    kind : str
        One of `NOT_ATTEMPTED`, `CORRECT`, `NOT_YET`, `RAISED`; `HINT`, `SOLUTION` and `ABOUT` for the other boxes.
    title : str
        Number and title of the exercise.
    blocks : list of Text or Code
    """

    kind: str
    title: str
    blocks: list[Text | Code] = field(default_factory=list)

    @property
    def correct(self) -> bool:
        """Whether the answer is right."""
        return self.kind == CORRECT

    @property
    def message(self) -> str:
        """The text of all paragraphs, for tests and for people who like strings."""
        return "\n".join(block.text for block in self.blocks if isinstance(block, Text))

    def __repr__(self) -> str:
        sign, word, _ = LOOKS[self.kind]
        lines = [f"[{sign}] {word.upper()}: {self.title}"]
        for block in self.blocks:
            if isinstance(block, Text):
                lines += textwrap.wrap(block.text, 96, initial_indent="    ", subsequent_indent="    ")
            else:
                lines += [f"    {block.label}", textwrap.indent(block.text, "        ")]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        sign, word, colour = LOOKS[self.kind]
        mark = _SIGN.format(shade=_SHADES[self.kind])
        head = (
            f'<p style="margin:0 0 4px"><span aria-hidden="true" style="{mark}">{sign}</span>'
            f"<strong>{word}</strong>: {html.escape(self.title)}</p>"
        )
        label = html.escape(f"{word}: {self.title}", quote=True)
        body = "".join(map(_block, self.blocks))
        return f'<div role="group" aria-label="{label}" style="{_BOX.format(colour=colour)}">{head}{body}</div>'


def _block(block: Text | Code) -> str:
    text = html.escape(block.text)
    if isinstance(block, Code):
        label = f'<p style="margin:6px 0 0">{html.escape(block.label)}</p>'
        return f'{label}<pre style="{_CODE}"><code style="background:none;color:inherit">{text}</code></pre>'
    return f'<p style="margin:4px 0">{f"<strong>{text}</strong>" if block.strong else text}</p>'


def table(caption: str, head: list[str], rows: list[list[str]]) -> str:
    """Return an HTML table that a screen reader can walk through: a caption, column heads, row heads."""
    cell = 'style="text-align:left;padding:3px 12px 3px 0;color:inherit"'
    heads = "".join(f'<th scope="col" {cell}>{html.escape(h)}</th>' for h in head)
    lines = []
    for first, *others in rows:
        cells = "".join(f"<td {cell}>{html.escape(text)}</td>" for text in others)
        lines.append(f'<tr style="background:none"><th scope="row" {cell}>{html.escape(first)}</th>{cells}</tr>')
    title = f'<caption style="text-align:left;font-weight:bold;color:inherit">{html.escape(caption)}</caption>'
    return (
        f'<table style="border-collapse:collapse;color:inherit">{title}<thead><tr style="background:none">{heads}</tr>'
        f"</thead><tbody>{''.join(lines)}</tbody></table>"
    )
