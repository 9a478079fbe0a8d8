"""The catalogue `data/books.csv` is written by hand; a machine looks for slips."""

import re
import unicodedata

import pandas as pd
import pytest

from recsys_lab import bookshop

#: ISO 639-1 codes, and ISO 639-2 where there is no shorter one (grc: Ancient Greek).
LANGUAGES = {
    *("ar", "bn", "cs", "da", "de", "el", "en", "es", "fi", "fr", "grc", "gu", "he", "hu", "is", "it", "ja", "ko"),
    *("la", "nl", "no", "pl", "pt", "ru", "sv", "tr", "zh"),
}

#: goodbooks-10k gives another year; item id -> why this catalogue keeps its own. "Theirs" means an error there.
YEARS_DIFFER = {
    127: "the story, 1936; theirs is a collection",
    223: "theirs: El príncipe de la niebla came out in 1993",
    235: "theirs is the French edition; first published in New York in 1943",
    243: "the novel Peter and Wendy, 1911; theirs is the first night of the play",
    282: "the book, 2007; theirs is the beginning of the web comic",
    635: "nobody knows within twenty years",
    661: "theirs: On the Road came out in September 1957",
    752: "first quarto, 1597; theirs is when it was written",
    753: "first quarto, 1603; theirs is when it was written",
    754: "first folio, 1623; theirs is when it was written",
    755: "first quarto, 1600; theirs is when it was written",
    756: "quarto, 1600; theirs is when it was written",
    757: "first quarto, 1608; theirs is when it was written",
    758: "quarto, 1609; theirs is when the first were written",
    763: "printed in 1899; theirs is the first night",
    781: "left unfinished in 19 BC",
    783: "finished in 1320 or 1321; theirs is about when it was begun",
    784: "left unfinished in 1400; theirs is an estimate",
    788: "both parts together, 1794; theirs is the first part alone",
    855: "the book, 2005; theirs is the first issue of the series",
    923: "first volume in Gujarati, 1927; theirs is the English translation",
    930: "about 430 BC; nobody knows exactly",
    931: "about AD 121; nobody knows exactly",
    965: "theirs: The Six Wives of Henry VIII came out in 1991",
    1041: "about 375 BC; nobody knows exactly",
    1043: "printed in 1532; theirs is when it was written",
    1065: "the book, 1977; theirs is the first of its essays",
    1090: "theirs: A History of God came out in 1993",
    1129: "theirs is a revised edition; first published in 1949",
    1157: "theirs: How to Be a Domestic Goddess came out in 2000",
    1170: "theirs: Cod came out in 1997",
    1177: "theirs: The Great Railway Bazaar came out in 1975",
    1204: "theirs: Seabiscuit came out in 2001",
}


def normalised(text):
    """Lower case, no accents, punctuation or articles."""
    text = unicodedata.normalize("NFKD", text.casefold())
    text = "".join(c for c in text if not unicodedata.combining(c))
    words = re.sub(r"[^a-z0-9 ]+", " ", text).split()
    return " ".join(word for word in words if word not in ("the", "a", "an"))


@pytest.fixture(scope="module")
def books():
    return bookshop.catalogue()


def test_size_columns_and_ids(books):
    assert list(books) == ["item_id", "title", "author", "year", "language", "genre"]
    assert len(books) >= 1150
    assert books["item_id"].tolist() == list(range(1, len(books) + 1))
    text = books[["title", "author", "language", "genre"]]
    assert text.map(lambda value: isinstance(value, str) and value == value.strip() != "").all(axis=None)


def test_no_doubles(books):
    keys = books["title"].map(normalised) + " / " + books["author"].map(normalised)
    assert books[keys.duplicated(keep=False)].empty
    surname = books["author"].map(lambda author: normalised(author).split()[-1])
    assert books[pd.DataFrame({"t": books["title"].map(normalised), "s": surname}).duplicated(keep=False)].empty


def test_one_spelling_of_each_author(books):
    authors = books["author"].drop_duplicates()
    keys = authors.map(lambda author: normalised(author).replace(" ", ""))
    assert authors[keys.duplicated(keep=False)].tolist() == []


def test_years_languages_and_genres_are_plausible(books):
    assert books["year"].between(-800, 2025).all()
    assert (books["year"] != 0).all()
    assert set(books["language"]) <= LANGUAGES
    ancient = books["language"].isin(["grc", "la"])
    assert (books.loc[books["language"] == "grc", "year"] < 400).all()
    assert (books.loc[~ancient & (books["language"] != "zh"), "year"] > 600).all()
    assert books["genre"].value_counts().min() >= 40
    known = {genre for family in bookshop.settings.FAMILIES.values() for genre in family}
    assert set(books["genre"]) == known


@pytest.mark.needs("real-logs")
def test_years_agree_with_goodbooks(books, real_logs):
    theirs = goodbooks(pd.read_parquet(real_logs / "goodbooks_10k" / "books.parquet"))
    ours = books.assign(
        title=books["title"].map(normalised), surname=books["author"].map(lambda a: normalised(a).split()[-1])
    )
    both = ours.merge(theirs, on=["title", "surname"])
    far = both[(both["year"] - both["their_year"]).abs() > 1]
    assert len(both) > 800
    assert len(far) < 0.05 * len(both)
    assert sorted(far["item_id"]) == sorted(YEARS_DIFFER)


def goodbooks(table):
    """Titles with and without series and subtitle, each with the surname of each author; the most rated edition."""
    rows = []
    columns = ("title", "original_title", "authors", "original_publication_year", "ratings_count")
    for title, original, authors, year, n in (
        table[list(columns)].fillna({"original_title": ""}).itertuples(index=False)
    ):
        names = {normalised(name).split()[-1] for name in authors.split(",") if normalised(name)}
        plain = re.sub(r"\s*\([^)]*\)\s*$", "", title)
        titles = {normalised(t) for t in (plain, original, plain.split(":")[0])} - {""}
        rows += [(t, name, year, n) for t in titles for name in names]
    editions = pd.DataFrame(rows, columns=["title", "surname", "their_year", "n"]).dropna(subset=["their_year"])
    return editions.sort_values("n", ascending=False, kind="stable").drop_duplicates(["title", "surname"])
