"""The drawn covers: words that fit whatever they are, colours that can be read, no markup from a title."""

import html
import re
import unicodedata
from xml.etree import ElementTree

import pytest

from recsys_lab import datasets
from recsys_lab.serve import cover_art, covers

NASTY = '<script>alert("x")</script> & <img src=x onerror="alert(1)">'
SVG = "{http://www.w3.org/2000/svg}"
ODD = [
    NASTY,
    "",
    " ",
    "x" * 10_000,
    "wort " * 90,
    "雪国の夜に鳴る鐘と長い冬の物語" * 3,
    "Преступление и наказание",
    "الأيام",
    "e\u0301" * 40,
    "Donaudampfschifffahrtsgesellschaftskapitän",
    "a\"b'c",
    "]]>&amp;",
    "\x00\x07\ud800 broken",
    "👩‍🚀" * 30,
    None,
    7,
]


def drawn(*words):
    """The cover as a tree: what it is has to be well-formed XML, because it is served as a picture too."""
    return ElementTree.fromstring(covers.cover(*words))


def blocks(tree):
    """Each block of text: its lines, size, whether it is bold, where it stands and its anchor."""
    for text in tree.iter(f"{SVG}text"):
        yield text, float(text.get("font-size")), text.get("font-weight") == "bold", list(text)


@pytest.fixture(scope="module")
def books():
    items = datasets.load("bookshop").items
    return list(zip(items["title"], items["author"], items["genre"], strict=True))


def test_a_cover_is_the_same_every_time_and_says_what_it_is():
    first = covers.cover("Pride and Prejudice", "Jane Austen", "classics")
    assert first == covers.cover("Pride and Prejudice", "Jane Austen", "classics")
    assert 'role="img" aria-label="Book: Pride and Prejudice, Jane Austen, classics"' in first


def assert_all_fits(tree, what):
    for text, size, bold, lines in blocks(tree):
        for line in lines:
            assert float(line.get("y")) - 0.8 * size > 0 and float(line.get("y")) + 0.25 * size < covers.HEIGHT, what
            width, x = covers.measure(line.text or "", bold) * size, float(line.get("x"))
            left = x - width / 2 if text.get("text-anchor") == "middle" else x
            assert left >= 4 and left + width <= covers.WIDTH, (what, line.text)


def test_every_cover_of_the_shop_fits_whole(books):
    for title, author, genre in books:
        tree = drawn(title, author, genre)
        assert_all_fits(tree, title)
        words = [" ".join(line.text for line in lines) for *_, lines in blocks(tree)]
        unbroken = [text.replace("- ", "-") for text in words]
        assert title.replace("- ", "-") in unbroken, title  # the whole title, no ellipsis, no word cut
        assert genre in words, title


@pytest.mark.parametrize("title", ODD, ids=range(len(ODD)))
def test_a_cover_takes_any_title(title):
    tree = drawn(title, NASTY, NASTY)
    assert_all_fits(tree, title)
    tags = {element.tag.removeprefix(SVG) for element in tree.iter()}
    assert tags <= {"svg", "rect", "circle", "path", "text", "tspan"}
    names = {name for element in tree.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or name in ("href", "src", "style", "id")]


def test_the_widths_are_not_smaller_than_those_of_a_wide_font():
    """Against advance widths of DejaVu Serif Bold, in thousandths, as its tables give them."""
    known = {"m": 1060, "W": 1123, "e": 642, "i": 380, "A": 776, "H": 945, " ": 348, "M": 1107, "n": 727, "0": 696}
    for character, width in known.items():
        assert covers.measure(character) * 1000 >= width - 6, character
    assert covers.measure("雪国") >= 2
    assert covers.measure("é") == covers.measure("e") == covers.measure(unicodedata.normalize("NFD", "é"))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def test_words_stand_out_from_their_ground():
    for name, palette in cover_art.PALETTES.items():
        light, dark = luminance(palette.paper), luminance(palette.ground)
        assert (light + 0.05) / (dark + 0.05) >= 7, name


def test_every_genre_of_the_shop_has_its_own_look(books):
    genres = {genre for *_, genre in books}
    assert genres <= set(cover_art.GENRES)
    for palettes, motifs in cover_art.GENRES.values():
        assert set(palettes.split()) <= set(cover_art.PALETTES)
        assert set(motifs.split()) <= set(cover_art.MOTIFS)
    assert {cover_art.choose("a genre of its own", n) for n in range(3)}  # any other genre gets one too


def test_covers_differ(books):
    plain = {re.sub('<text.*?</text>|aria-label="[^"]*"', "", covers.cover(*book)) for book in books[:300]}
    assert len(plain) > 200


def test_a_title_in_the_label_is_escaped():
    assert f'aria-label="Book: {html.escape(NASTY)}"' in covers.cover(NASTY)
