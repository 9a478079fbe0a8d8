"""The map of items: geometry by hand, driven without a browser, with hostile words, and where widgets are missing."""

import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from test_widgets import NASTY, Balanced

from recsys_lab.environment import ROOT
from recsys_lab.item_map import ALL, SHAPES, SIZE, ItemMap, item_map, project
from recsys_lab.plots import COLOURS

VECTORS = np.array([[4.0, 0.1, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.1, 1.0, 0.0], [0.0, 0.0, 3.0]])
BOOKS = pd.DataFrame(
    {
        "title": ["Dune", "Dune Messiah", "Emma", "Persuasion", NASTY],
        "author": ["Herbert", "Herbert", "Austen", "Austen", NASTY],
        "genre": ["science fiction", "science fiction", "classics", "classics", NASTY],
    },
    index=[9, 8, 7, 6, 5],
)


def random_map(n=60, n_genres=25) -> ItemMap:
    rng = np.random.default_rng(0)
    items = pd.DataFrame(
        {"title": [f"book {i}" for i in range(n)], "genre": [f"genre {i % n_genres}" for i in range(n)]}
    )
    return ItemMap(rng.normal(size=(n, 5)), items)


def parts(explorer):
    """Search, genre, near, message, picture, buttons of the neighbours, back."""
    line, said, body, _ = explorer.children
    left, beside = body.children
    return *line.children, said, left.children[0], list(beside.children[1:-1]), beside.children[-1]


# ---- geometry -------------------------------------------------------------------------------------------------------


def test_the_projection_keeps_a_plane_as_it_is():
    """Points on a circle in a plane of five dimensions: all distances survive."""
    angles = np.random.default_rng(1).uniform(0, 2 * np.pi, 30)
    plane = np.linalg.qr(np.random.default_rng(2).normal(size=(5, 2)))[0]
    points = np.column_stack([np.cos(angles), np.sin(angles)]) @ plane.T
    flat = project(3.0 * points)  # lengths do not count
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.testing.assert_allclose(np.linalg.norm(flat[:, None] - flat[None], axis=2), apart, atol=1e-9)


def test_the_projection_has_one_sign():
    vectors = np.random.default_rng(3).normal(size=(40, 4))
    turned = vectors @ np.diag([-1, 1, -1, 1])
    np.testing.assert_allclose(project(vectors), project(turned), atol=1e-9)


def test_the_first_direction_spreads_most():
    flat = project(np.random.default_rng(4).normal(size=(50, 6)))
    assert flat[:, 0].var() >= flat[:, 1].var() > 0


@pytest.mark.parametrize("vectors", [[[1.0]], [[2.0], [-1.0]], [[0.0, 0.0], [0.0, 0.0]]])
def test_a_projection_of_next_to_nothing(vectors):
    flat = project(vectors)
    assert flat.shape == (len(vectors), 2)
    assert np.isfinite(flat).all()


def test_neighbours_by_cosine():
    drawn = ItemMap(VECTORS, BOOKS, n_neighbours=2)
    found = drawn.neighbours(0)
    assert [i for i, _ in found] == [1, 3]
    assert found[0][1] == pytest.approx(4 / np.hypot(4, 0.1))
    assert len(ItemMap(VECTORS, BOOKS).neighbours(0)) == 4  # there are no more


# ---- searching ------------------------------------------------------------------------------------------------------


def test_search_prefers_the_whole_title_then_the_beginning():
    books = BOOKS.assign(title=["The Dune Book", "Dune Messiah", "Dune", "Emma", "x"], author="")
    drawn = ItemMap(VECTORS, books)
    assert [drawn.find(t) for t in ("dune", "DUNE m", "book", " emma ", "nothing", "")] == [
        [2, 1, 0],
        [1],
        [0],
        [3],
        [],
        [],
    ]


def test_equal_titles_are_told_apart():
    drawn = ItemMap(VECTORS[:3], pd.DataFrame({"title": ["Poems", "Poems", ""]}))
    assert drawn.labels == ["Poems", "Poems (2)", "(no title)"]
    assert drawn.find("Poems (2)") == [1]


# ---- the picture ----------------------------------------------------------------------------------------------------


def test_every_item_is_drawn_inside_the_picture():
    text = random_map().html(3)
    places = re.findall(r'transform="translate\(([\d.-]+),([\d.-]+)\)', text)
    assert len(places) == 60 + 9  # the chosen one and its neighbours once more, above the lines
    assert len(set(places)) == 60
    assert all(0 < float(x) < SIZE and 0 < float(y) < SIZE for x, y in places)


def test_genres_differ_in_colour_or_shape():
    drawn = random_map(n=60, n_genres=len(COLOURS) * len(SHAPES))
    looks = {(drawn._colour(g), drawn._shape(g)) for g in drawn.groups}
    assert len(looks) == len(drawn.groups) == len(COLOURS) * len(SHAPES)


def test_the_lit_genre_is_bright_and_the_others_faint():
    drawn = random_map(n_genres=3)
    text = drawn.html(0, "genre 1")
    assert text.count('opacity="0.8"') == 20
    assert text.count('opacity="0.13"') == 40
    assert "<strong>genre 1</strong>" in drawn.legend("genre 1")
    assert "<strong>" not in drawn.legend()
    assert random_map(n_genres=3).html(0, ALL).count('opacity="0.8"') == 60


def test_from_near_only_what_is_there_is_drawn():
    drawn = random_map()
    near, far = drawn.html(5, near=True), drawn.html(5)
    for text in (near, far):
        assert sum(f">{n}</text>" in text for n in range(1, 9)) == 8
    assert near.count("<path d") < far.count("<path d")
    for number, _ in [(5, 0), *drawn.neighbours(5)]:
        assert f"<title>book {number}</title>" in near


def test_numbers_do_not_cover_each_other():
    same = ItemMap(np.ones((9, 3)), pd.DataFrame({"title": list("abcdefghi")}))
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="13" fill="#fff"', same.html(0))
    points = np.array(places, dtype=float)
    apart = np.linalg.norm(points[:, None] - points[None], axis=2)[np.triu_indices(8, 1)]
    assert len(points) == 8
    assert apart.min() > 26


def test_numbers_do_not_cover_what_they_mean():
    """Neighbours that lie close together, in the full view: every one can be seen, above the lines."""
    vectors = np.vstack(
        [np.random.default_rng(5).normal(size=(60, 6)), 8 + 0.3 * np.random.default_rng(6).normal(size=(9, 6))]
    )
    text = ItemMap(vectors, pd.DataFrame({"title": [f"book {i}" for i in range(69)]})).html(64)
    discs = np.array(re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="13"', text), dtype=float)
    dots = np.array(re.findall(r'translate\(([\d.]+),([\d.]+)\) scale\(1.6\)" fill="[^"]*" opacity="1"', text), float)
    assert (len(discs), len(dots)) == (8, 9)
    assert np.linalg.norm(discs[:, None] - dots[None], axis=2).min() > 13 + 6


def test_the_picture_says_in_words_what_it_shows():
    label = re.search(r'aria-label="([^"]*)"', ItemMap(VECTORS, BOOKS, 2).html(0))[1]
    assert label == "Map of 5 items. Chosen: Dune, Herbert. Nearest: 1. Dune Messiah, Herbert; 2. Persuasion, Austen"


def test_hostile_words_stay_words():
    drawn = ItemMap(VECTORS, BOOKS)
    for text in (drawn.html(4), drawn.html(0, NASTY), drawn.text(4), drawn.legend(NASTY)):
        tags = {tag for tag, _ in Balanced(text).tags}
        assert tags <= {
            "div",
            "p",
            "strong",
            "br",
            "svg",
            "rect",
            "path",
            "title",
            "circle",
            "text",
            "span",
            "ol",
            "li",
        }


# ---- the widgets ----------------------------------------------------------------------------------------------------


def test_walking_to_a_neighbour_and_back():
    *_, picture, go_to, back = parts(item_map(VECTORS, BOOKS, start="dune", n_neighbours=3))
    assert back.disabled
    assert "<strong>Dune</strong>" in picture.value
    assert go_to[0].description == "1 · 1.000 · Dune Messiah"
    go_to[0].click()
    assert "<strong>Dune Messiah</strong>" in picture.value
    assert go_to[0].description.startswith("1 · 1.000 · Dune")
    go_to[1].click()
    assert "Austen" in picture.value
    back.click()
    back.click()
    assert "<strong>Dune</strong>" in picture.value
    assert back.disabled


def test_searching_a_title():
    search, *_, said, picture, _, _ = parts(item_map(VECTORS, BOOKS))
    search.value = "emm"
    assert "<strong>Emma</strong>" in picture.value
    assert search.value == said.value == ""
    search.value = "<b>no such</b>"
    assert "No title or author has <em>&lt;b&gt;no such&lt;/b&gt;</em> in it." in said.value
    assert "<strong>Emma</strong>" in picture.value
    search.value = "dune messiah, HERBERT"
    assert said.value == ""


def test_several_titles_are_said_to_be_several():
    search, *_, said, picture, _, _ = parts(item_map(VECTORS, BOOKS, start="Emma"))
    search.value = "une"
    assert "<em>une</em> stands in 2 titles and authors; this is the first." in said.value
    assert "<strong>Dune</strong>" in picture.value


@pytest.mark.parametrize("move", ["back", "light up", "zoom", "walk"])
def test_a_message_goes_with_the_next_move(move):
    search, genre, near, said, _, go_to, back = parts(item_map(VECTORS, BOOKS))
    search.value = "emma"
    search.value = "xyzzy"
    assert "xyzzy" in said.value
    if move == "back":
        back.click()
    elif move == "light up":
        genre.value = "classics"
    elif move == "zoom":
        near.value = True
    else:
        go_to[0].click()
    assert said.value == ""


def test_the_list_says_whose_it_is():
    *_, body, legend = item_map(VECTORS, BOOKS, start="Emma").children
    head = body.children[1].children[0]
    assert "Nearest to <strong>Emma</strong>" in head.value
    assert "classics" in legend.value


def test_lighting_up_and_zooming_in():
    _, genre, near, _, picture, _, _ = parts(item_map(VECTORS, BOOKS))
    whole = picture.value
    genre.value = "classics"
    assert picture.value.count('opacity="0.8"') == 2
    genre.value = ALL
    near.value = True
    assert picture.value != whole
    near.value = False
    assert picture.value == whole


def test_items_without_author_and_genre():
    explorer = item_map(VECTORS, BOOKS[["title"]], start="Emma")
    _, genre, *_ = parts(explorer)
    assert genre.options == (ALL,)


@pytest.mark.parametrize(
    ("vectors", "items", "message"),
    [
        (VECTORS[:3], BOOKS, "5 items need as many rows"),
        (VECTORS[0], BOOKS, "as many rows"),
        (VECTORS, BOOKS.drop(columns="title"), "a column 'title'; it has author, genre"),
        (VECTORS * np.nan, BOOKS, "NaN or infinity"),
    ],
)
def test_what_cannot_be_drawn_is_named(vectors, items, message):
    with pytest.raises(ValueError, match=message):
        item_map(vectors, items)


def test_a_start_that_is_not_there_is_named():
    with pytest.raises(ValueError, match="no title has 'Ulysses'"):
        item_map(VECTORS, BOOKS, start="Ulysses")


def test_without_ipywidgets_there_is_a_picture_with_text():
    code = (
        "import sys; sys.modules['ipywidgets'] = None\n"
        "import pandas as pd; from recsys_lab.item_map import item_map\n"
        "shown = item_map([[1, 0], [1, 1], [0, 1]], pd.DataFrame({'title': ['a', 'b', 'c']}), n_neighbours=1)\n"
        "text = shown._repr_html_()\n"
        "print(type(shown).__name__, '<svg' in text, '<li>b (0.707)</li>' in text, repr(shown))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    kind, picture, words, *said = done.stdout.split()
    assert (kind, picture, words) == ("Plain", "True", "True")
    assert " ".join(said) == "Nearest to a (install ipywidgets to walk on): 1. b (0.707)"
