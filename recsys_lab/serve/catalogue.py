"""What the shop sells, and a search that forgives typing errors.

A query is cut into words. Each is compared with every word of the catalogue (there are far fewer of those than words in
titles): the same word counts 1, a word that begins so a little less, a similar one by the share of letters that stay
in place (normalised indel similarity). A book's score is the mean over the query's words of the best word of its title
and author; every word of the query has to be found in some form. A title that was typed as a whole comes first.
"""

from __future__ import annotations

import bisect
import re
import unicodedata
from dataclasses import dataclass

import numpy as np
import pandas as pd

LONGEST = 200  # characters of a query that are looked at
MOST_WORDS = 12
SIMILAR = 0.72  # words less alike than this are other words
WHOLE = 0.01  # more for a title of which every word was typed
SHORT = 3  # words up to so long have to be right
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Item:
    """One thing the shop sells.

    Attributes
    ----------
    item_id : int or str
    title, author, genre : str
    price : float or None
    year : int or None
    """

    item_id: int | str
    title: str
    author: str = ""
    genre: str = ""
    price: float | None = None
    year: int | None = None


class Catalogue:
    """All items of a shop.

    Parameters
    ----------
    items : DataFrame
        One row an item: `item_id` and, as far as known, `title, author, genre, price, year`. `sold_last_season`
        decides between equally good hits.

    Attributes
    ----------
    ids : list
        Item ids, in the order of the table.

    Examples
    --------
    >>> books = {"item_id": [1, 2], "title": ["War and Peace", "Émile"], "author": ["Tolstoy", "Rousseau"]}
    >>> shop = Catalogue(pd.DataFrame(books))
    >>> [item.title for item in shop.search("toltsoy war")], [item.title for item in shop.search("emi")]
    (['War and Peace'], ['Émile'])
    """

    def __init__(self, items: pd.DataFrame):
        if "item_id" not in items:
            raise ValueError(f"catalogue: the table lacks the column 'item_id'; it has {', '.join(map(str, items))}.")
        known = [name for name in ("title", "author", "genre", "price", "year") if name in items]
        rows = items[["item_id", *known]].to_dict("records")
        self._items = {row["item_id"]: _item(row) for row in rows}
        if len(self._items) < len(rows):
            raise ValueError("catalogue: an item_id is there twice.")
        self.ids = list(self._items)
        self.table = items
        self._numbers = all(isinstance(item_id, int) for item_id in self.ids)
        self._gone: set = set()
        self._words: _Words | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, item_id) -> bool:
        return item_id in self._items

    def get(self, item_id) -> Item | None:
        """Return an item, or None where there is none under this id."""
        return self._items.get(item_id)

    def parse_id(self, text: str):
        """Return the id that a text from outside may stand for, whether or not there is such an item; else None."""
        text = str(text)
        if not self._numbers:
            return text if 1 <= len(text) <= 64 and text.isprintable() else None
        return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else None

    def available(self, item_id) -> bool:
        """Whether an item can be had now."""
        return item_id in self._items and item_id not in self._gone

    def set_available(self, item_id, available: bool) -> None:
        """Say that an item is in stock, or not; raises KeyError for an unknown one."""
        if item_id not in self._items:
            raise KeyError(f"the catalogue has no item {item_id!r}.")
        (self._gone.discard if available else self._gone.add)(item_id)

    @property
    def gone(self) -> frozenset:
        """Ids of the items that cannot be had now."""
        return frozenset(self._gone)

    def search(self, q: str, limit: int = 10) -> list[Item]:
        """Find items by words of title and author.

        Parameters
        ----------
        q : str
            Any text; its last word may be half typed. What is no letter or digit separates words.
        limit : int

        Returns
        -------
        list of Item
            Best first, ties by sales and then by the order of the table; empty where nothing is like it.
        """
        asked = words(str(q)[:LONGEST])[:MOST_WORDS]
        if not asked or limit < 1:
            return []
        if self._words is None:
            self._words = _Words(list(self._items.values()), self.table)
        return [self._items[self.ids[row]] for row in self._words.best(asked, limit)]


class _Words:
    """The catalogue's words, turned round: which books hold each of them."""

    def __init__(self, items: list[Item], table: pd.DataFrame):
        in_item = [list(dict.fromkeys(words(f"{item.title} {item.author}"))) for item in items]
        self.words = sorted({word for row in in_item for word in row})
        number = {word: i for i, word in enumerate(self.words)}
        self.of_item = np.array([number[word] for row in in_item for word in row], np.int64)
        lengths = np.array([len(row) for row in in_item], np.int64)
        self.filled = np.flatnonzero(lengths)
        self.starts = (np.cumsum(lengths) - lengths)[self.filled]
        self.n = len(items)
        self.titles = [set(words(item.title)) for item in items]
        sold = table["sold_last_season"].to_numpy(float) if "sold_last_season" in table else np.zeros(self.n)
        sold = np.nan_to_num(sold)
        # decides between equal scores only: less than any difference between two of them
        self.sold = sold / (float(np.max(sold, initial=0)) + 1) * 1e-6

    def best(self, asked: list[str], limit: int) -> np.ndarray:
        from rapidfuzz import fuzz, process

        if not self.words:
            return np.empty(0, np.int64)
        alike = process.cdist(asked, self.words, scorer=fuzz.ratio, dtype=np.float32) / 100
        for row, word in zip(alike, asked, strict=True):
            low, high = self._beginning(word)
            exact = row >= 1
            forgiving = len(word) > SHORT and word.isalpha()  # a number with another digit is another number
            row[row < SIMILAR if forgiving else row < 1] = 0
            # the longer the rest, the less
            lengths = np.array([len(other) for other in self.words[low:high]])
            row[low:high] = np.maximum(row[low:high], 0.9 + 0.09 * len(word) / np.maximum(lengths, 1))
            row[exact] = 1
        found = np.zeros((len(asked), self.n), np.float32)
        found[:, self.filled] = np.maximum.reduceat(alike[:, self.of_item], self.starts, axis=1)
        scores = np.where((found > 0).all(axis=0), found.mean(axis=0) + self.sold, 0)
        hits = np.flatnonzero(scores > 0)
        given = set(asked)
        scores[[row for row in hits if self.titles[row] and self.titles[row] <= given]] += WHOLE
        return hits[np.argsort(-scores[hits], kind="stable")][:limit]

    def _beginning(self, word: str) -> tuple[int, int]:
        """Range of the sorted words that begin with a word."""
        return bisect.bisect_left(self.words, word), bisect.bisect_left(self.words, word + "\U0010ffff")


def words(text: str) -> list[str]:
    """Cut a text into words, without case and accents.

    Examples
    --------
    >>> words("L'Étranger, <b>1942</b>")
    ['l', 'etranger', 'b', '1942', 'b']
    """
    plain = unicodedata.normalize("NFKD", text.casefold())
    return _WORD.findall("".join(letter for letter in plain if not unicodedata.combining(letter)))


def _item(row: dict) -> Item:
    text = {name: "" if pd.isna(row.get(name, "")) else str(row.get(name, "")) for name in ("title", "author", "genre")}
    price, year = (None if pd.isna(row.get(name, np.nan)) else row[name] for name in ("price", "year"))
    price, year = None if price is None else float(price), None if year is None else int(year)
    return Item(row["item_id"], **text, price=price, year=year)
