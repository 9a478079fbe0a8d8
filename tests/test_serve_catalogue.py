"""The shop's catalogue: ids from outside, what can be had, and a search that any text may be thrown at."""

import pandas as pd
import pytest

from recsys_lab.serve.catalogue import Catalogue, words

BOOKS = pd.DataFrame(
    {
        "item_id": [10, 11, 12, 13, 14, 15, 16],
        "title": ["War and Peace", "The Stranger", "Émile", "It", "Poems", "Poems", "Straßenbahn <b>& Co</b>"],
        "author": ["Leo Tolstoy", "Albert Camus", "Jean-Jacques Rousseau", "Stephen King", "A. One", "B. Two", None],
        "genre": ["novel", "novel", "essay", "horror", "verse", "verse", None],
        "price": [9.5, None, 7, 8, 5, 5, 1],
        "year": [1869, 1942, None, 1986, 1900, 1900, 2000],
        "sold_last_season": [5, 4, 3, 2, 1, 9, 0],
    }
)


@pytest.fixture(scope="module")
def shop():
    return Catalogue(BOOKS)


def found(shop, q, limit=10):
    return [item.item_id for item in shop.search(q, limit)]


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("tolstoy", 10),
        ("toltsoy", 10),  # letters in the wrong order
        ("tolstoi", 10),  # a wrong one
        ("tolsty", 10),  # one left out
        ("PEACE tolstoy", 10),  # both columns, any order, any case
        ("war and pe", 10),  # half typed
        ("emile", 12),
        ("ÉMILE", 12),
        ("émi", 12),
        ("rouseau", 12),
        ("strassenbahn", 16),
        ("it", 13),  # the word itself before one that begins so
        ("the strangr camus", 11),
        ("stranger; DROP TABLE items", None),  # words that are nowhere
    ],
)
def test_search_finds(shop, q, first):
    assert found(shop, q)[:1] == ([] if first is None else [first])


def test_every_word_of_a_query_has_to_be_found(shop):
    assert found(shop, "tolstoy camus") == []
    assert found(shop, "xyzzy") == []


def test_short_words_are_not_guessed(shop):
    assert 13 not in found(shop, "if")
    assert 10 not in found(shop, "wax")


def test_equal_hits_are_ordered_by_sales_then_by_the_table(shop):
    assert found(shop, "poems") == [15, 14]
    assert found(Catalogue(BOOKS.drop(columns="sold_last_season")), "poems") == [14, 15]


def test_sales_never_beat_a_better_hit():
    books = {"item_id": [1, 2], "title": ["Annals", "Anna"], "author": "", "sold_last_season": [10**9, 0]}
    assert found(Catalogue(pd.DataFrame(books)), "anna") == [2, 1]


def test_an_item_whose_sales_are_unknown_does_not_hide_the_others():
    table = BOOKS.assign(sold_last_season=BOOKS["sold_last_season"].astype(float).where(BOOKS["item_id"] != 13))
    assert found(Catalogue(table), "poems") == [15, 14]
    assert found(Catalogue(table), "it")[:1] == [13]


@pytest.mark.parametrize("limit", [0, -1])
def test_no_places_no_hits(shop, limit):
    assert shop.search("poems", limit) == []


def test_limit(shop):
    assert found(shop, "poems", 1) == [15]
    assert len(found(shop, "p", 10**6)) <= len(BOOKS)


@pytest.mark.parametrize(
    "q",
    ["", " \t\n", "%", "'\"", "\\", "<script>alert(1)</script>", "(", "[", "*" * 5000, "a" * 100_000, "\x00\x01",
     "\ud800", "\ufdfa" * 500, "🦄", "́" * 300, "‮abc", "../../etc/passwd", "a b c d e f g h i j k l m n o p q"],
)  # fmt: skip
def test_any_text_is_safe(shop, q):
    assert all(item.item_id in shop for item in shop.search(q))


def test_nothing_asked_nothing_found(shop):
    assert shop.search("") == shop.search("  ?! ") == []


def test_words_of_an_empty_catalogue():
    assert Catalogue(BOOKS.iloc[:0]).search("war") == []
    assert Catalogue(pd.DataFrame({"item_id": [1]})).search("war") == []


def test_markup_is_words():
    assert words("<b>Co</b>") == ["b", "co", "b"]


def test_what_is_unknown_is_empty_or_none(shop):
    item = shop.get(16)
    assert (item.author, item.genre, shop.get(11).price, shop.get(12).year) == ("", "", None, None)
    assert (shop.get(10).price, shop.get(10).year) == (9.5, 1869)
    assert shop.get(99) is None


@pytest.mark.parametrize(
    ("text", "item_id"),
    [("10", 10), ("99", 99), (10, 10), ("-3", -3), ("", None), ("1e3", None), ("10.0", None), (" 10", None),
     ("10\n", None), ("0x10", None), ("9" * 18, 10**18 - 1), ("9" * 19, None), ("\uff11\uff10", None), ("nan", None),
     ("10;", None), (None, None)],
)  # fmt: skip
def test_parse_id_of_numbers(shop, text, item_id):
    assert shop.parse_id(text) == item_id


def test_parse_id_of_words():
    shop = Catalogue(BOOKS.assign(item_id=list("abcdefg")))
    assert [shop.parse_id(text) for text in ("a", "zz", "", "x" * 64, "x" * 65, "a\n")] == [
        "a",
        "zz",
        None,
        "x" * 64,
        None,
        None,
    ]


def test_available():
    shop = Catalogue(BOOKS)
    assert shop.available(10) and not shop.available(99)
    shop.set_available(10, False)
    assert not shop.available(10) and shop.gone == {10} and 10 in shop and shop.available(11)
    shop.set_available(10, True)
    assert shop.available(10) and shop.gone == frozenset()
    with pytest.raises(KeyError, match="no item 99"):
        shop.set_available(99, False)


def test_tables_that_make_no_catalogue():
    with pytest.raises(ValueError, match="lacks the column 'item_id'"):
        Catalogue(BOOKS.drop(columns="item_id"))
    with pytest.raises(ValueError, match="twice"):
        Catalogue(pd.concat([BOOKS, BOOKS.iloc[:1]]))


def test_a_title_typed_as_a_whole_comes_first_and_numbers_are_not_guessed():
    titles = ["Dune Messiah", "Dune", "Born 1982", "The Good House"]
    table = pd.DataFrame({"item_id": range(4), "title": titles, "author": ["", "", "", "Tananarive Due"]})
    shop = Catalogue(table.assign(sold_last_season=[90, 1, 5, 5]))
    assert [item.title for item in shop.search("dune")][:2] == ["Dune", "Dune Messiah"]
    assert [item.title for item in shop.search("dune m")] == ["Dune Messiah"]
    assert shop.search("1984") == [] and [item.title for item in shop.search("198")] == ["Born 1982"]
