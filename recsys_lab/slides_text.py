"""The source of a deck, ``slides/NN_topic.md``: its slides, what is quoted in it, and what may not stand there.

It is Marp's Markdown: front matter, then slides with ``---`` between them. Beside ``{{ lab02.pop.mrr }}``, a number by
name (`records`), a slide may have on a line of its own

- ``{{ figure lab02 What a hit }}``: the figure of lab 02 whose text (``alt``) begins so; see `slides_figures`,
- ``{{ drawing pipeline }}``: one of the course's own drawings; see `slides_drawings`,
- ``{{ exercises lab02 }}``, ``{{ questions lab02 }}`` and, in the notes, ``{{ answers lab02 }}``: from the lab's text.

A comment on each slide holds the speaker's notes: a line ``3 min``, a line ``Ask: ...?`` and whatever else helps.

A digit may stand in a slide only

- in what is quoted, in code, in a formula or in an address,
- as a year (1900 to 2099), as the number of a lab or an exercise, as the number of a list's row,
- as a part of a name, behind a letter or an at sign (GRU4Rec, recall@20, V2),
- in ``((30 minutes))``: given, not measured. The number has to stand in the source of a lab that the deck is about, or
  the slide has to name where it is from, in a line that begins with ``Source:``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from recsys_lab.records import QUOTE

#: What the front matter has to say.
FRONT = ("marp: true", "theme: recsys-lab", "math: mathjax", "lang: en", "title: ")
RULE = re.compile(r"^---[ \t]*$", re.MULTILINE)
NOTE = re.compile(r"<!--(?!\s*_?[a-zA-Z]+:)(.*?)-->", re.DOTALL)
DIRECTIVE = re.compile(r"<!--\s*_?[a-zA-Z]+:.*?-->", re.DOTALL)
MINUTES = re.compile(r"^\s*(\d+) min\s*$", re.MULTILINE)
ASK = re.compile(r"^\s*Ask: \S.*\?", re.MULTILINE)
HEADING = re.compile(r"^(#{1,6}) +(\S.*)$", re.MULTILINE)
GIVEN = re.compile(r"\(\(([^()]*\d[^()]*)\)\)")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
CODE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]+\$", re.DOTALL)
FREE = re.compile(
    r"""\b[Ll]abs?\s+\d\d(?:(?:,|\ and|\ to)\ \d\d)*   # lab 02, labs 01 and 02
    | \b(?:[Ee]xercises?|[Pp]arts?)\s+\d+(?:\.\d)?(?:(?:,|\ and|\ to)\ \d+(?:\.\d)?)*  # exercise 2.3, parts 7 to 9
    | (?<![\w.,])(?:19|20)\d\d(?!\w|\s*%|[.,]\d)      # a year
    | ^\ *\d+\.\                                     # a row of a list
    | (?<![\w.])[A-Za-z@][\w@-]*                     # a name with a digit in it
    | @\d+ """,
    re.VERBOSE | re.MULTILINE,
)


class SlideError(ValueError):
    """A deck cannot be built as it is; the message says where and what to do."""


@dataclass(frozen=True)
class Slide:
    """One slide: its number, what the audience sees and what the speaker sees."""

    number: int
    text: str
    notes: str

    @property
    def minutes(self) -> int | None:
        """What the notes plan for it."""
        found = MINUTES.search(self.notes)
        return int(found[1]) if found else None

    @property
    def title(self) -> str:
        """Its heading; empty if it has none."""
        found = HEADING.search(self.text)
        return found[2] if found else ""


def split(source: str) -> tuple[str, list[Slide]]:
    r"""Return the front matter and the slides of a deck.

    Examples
    --------
    >>> front, slides = split("---\nmarp: true\n---\n\n# One\n\n<!--\n2 min\n-->\n\n---\n\n# Two\n")
    >>> front.strip(), [(slide.title, slide.minutes) for slide in slides]
    ('marp: true', [('One', 2), ('Two', None)])
    """
    parts = RULE.split(source)
    if len(parts) < 3 or parts[0].strip():
        raise SlideError("a deck begins with front matter between two lines '---'")
    slides = []
    for number, part in enumerate(parts[2:], 1):
        notes = "\n".join(match[1].strip() for match in NOTE.finditer(part))
        slides.append(Slide(number, NOTE.sub("", part), notes))
    return parts[1], slides


def wrongs(source: str, labs: str = "") -> list[str]:
    """What is wrong with the source of a deck, a line for each.

    Parameters
    ----------
    source : str
        The deck.
    labs : str
        The sources of the labs that it is about: a number that is given has to stand there.
    """
    known = set(NUMBER.findall(labs))
    front, slides = split(source)
    lacking = [line for line in FRONT if not re.search(rf"^{line}", front, re.MULTILINE)]
    return [f"the front matter lacks '{line}'" for line in lacking] + [
        f"slide {slide.number}: {wrong}" for slide in slides for wrong in wrongs_of(slide, known)
    ]


def wrongs_of(slide: Slide, known: set[str]) -> list[str]:
    """What is wrong with one slide."""
    found = []
    headings = HEADING.findall(CODE.sub("", slide.text))
    if len(headings) != 1 or len(headings[0][0]) != (1 if slide.number == 1 else 2):
        found.append("it needs one heading, '# ' on the first slide and '## ' on every other")
    if slide.minutes is None:
        found.append("the notes (a comment) need a line such as '3 min'")
    if not ASK.search(slide.notes):
        found.append("the notes need a line 'Ask: ...?'")
    if re.search(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")", slide.text):
        found.append("a picture has no text in its place (alt)")
    sourced = re.search(r"^Source: \S", slide.text, re.MULTILINE)
    for text in GIVEN.findall(CODE.sub(" ", f"{slide.text}\n{slide.notes}")):
        strange = [number for number in NUMBER.findall(text) if number not in known]
        if strange and not sourced:
            found.append(
                f"(({text})): {strange[0]} is in no lab of this deck, and no line 'Source: ...' says whose it is"
            )
    return found + [f"{typed!r} is typed by hand: record it in a lab and quote it" for typed in typed_numbers(slide)]


def typed_numbers(slide: Slide) -> list[str]:
    """Numbers of a slide, or of its notes, that none of the reasons in the head of this module allows."""
    lines = (line for line in slide.text.splitlines() if not line.startswith("Source: "))
    text = "\n".join(lines) + "\n" + MINUTES.sub("", slide.notes)
    for pattern in (QUOTE, GIVEN, DIRECTIVE, CODE, re.compile(r"<[^>]*>"), re.compile(r"\]\([^)]*\)"), FREE):
        text = pattern.sub(lambda match: re.sub(r"\S", " ", match[0]) if "\n" in match[0] else " ", text)
    return NUMBER.findall(text)


# ---- what is taken from the text of a lab -------------------------------------------------------------------------


def exercises(text: str) -> str:
    """Return a table of a lab's exercises, from its Markdown."""
    pattern = r"^### Exercise (\d+\.\d+)(?: ·|:) (.+)\n+\*(Extra, )?(\d+ minutes), (\w+)\.\*"
    rows = [row for row in re.findall(pattern, text, re.MULTILINE) if not row[2] and "(extra)" not in row[1]]
    if not rows:
        raise SlideError("the lab has no exercise with minutes and difficulty: '*10 minutes, easy.*'")
    core = [f"| {number} | {title} | {minutes} | {level} |" for number, title, _, minutes, level in rows]
    return "\n".join(["| | core exercise | time | |", "| :-- | :-- | :-- | :-- |", *core])


def questions(text: str) -> str:
    """Return the three questions at a lab's end."""
    part = re.search(r"^## Three questions\n(.*?)<details>", text, re.MULTILINE | re.DOTALL)
    if not part:
        raise SlideError("the lab has no part 'Three questions'")
    return part[1].strip()


def answers(text: str) -> str:
    """Return the answers to them."""
    part = re.search(r"<summary>Answers</summary>(.*?)</details>", text, re.DOTALL)
    if not part:
        raise SlideError("the lab has no answers to its three questions")
    return part[1].strip()


def plain(text: str) -> str:
    """Return a filled text without the marks of what is given, and sources as a part of their own.

    Examples
    --------
    >>> plain("after ((30 minutes)), $((2 + 3))$")
    'after 30 minutes, $((2 + 3))$'
    """
    text = re.sub(r"^(Source: .*)$", r'<div class="source">\n\n\1\n\n</div>', text, flags=re.MULTILINE)
    either = re.compile(f"(?P<code>{CODE.pattern})|{GIVEN.pattern}", re.DOTALL)
    return either.sub(lambda match: match[0] if match["code"] else match[2], text)


def read(path: Path) -> str:
    """Read a text file."""
    return path.read_text(encoding="utf-8")
