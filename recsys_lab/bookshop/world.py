"""Drawing a world: vectors, prices, complements and users for a catalogue of real books.

Item vector    x_i = unit(genre part + author part + noise)
User taste     u   = unit(segment part + own part)
Preference     p(u, i) = taste_scale * u·x_i + quality_i            (logits)
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recsys_lab.bookshop.hidden import Truth, unit
from recsys_lab.bookshop.settings import FAMILIES, SEGMENTS, Settings

#: Item ids of books whose next volume follows directly in the catalogue. No book is in two pairs: a chain would make
#: the first and the third volume sell together as well, and the planted pairs would no longer be all there is.
FIRST_VOLUMES = (
    *(1, 9, 12, 24, 28, 39, 48, 50, 68, 70, 75, 91, 175, 178, 185, 192, 255, 279),
    *(325, 327, 329, 349, 410, 414, 430, 433, 482, 523, 532, 536),
)
#: Median invented price of each genre where it differs from 10.
PRICES = {"children's": 7.5, "graphic novels": 15, "business": 16, "science": 13, "history": 14, "food and travel": 15}


def build(catalogue: pd.DataFrame, settings: Settings | None = None, seed: int = 0) -> Truth:
    """Draw a shop.

    Parameters
    ----------
    catalogue : DataFrame
        Columns `item_id, title, author, year, language, genre`, as in ``data/books.csv``.
    settings : Settings, optional
    seed : int
        The same seed gives the same world.

    Returns
    -------
    Truth
    """
    s = settings or Settings()
    names = ("vectors", "quality", "users", "prices", "stock", "complements", "trends")
    draws = dict(zip(names, np.random.default_rng(seed).spawn(len(names)), strict=True))
    genres, genre_vectors = _genre_vectors(s, draws["vectors"])
    item_vectors = _float32(_item_vectors(catalogue, genres, genre_vectors, s, draws["vectors"]))
    quality = _float32(s.fame * _fame(catalogue) + draws["quality"].normal(0, s.quality_sd, len(catalogue)))
    segments, user_vectors = _users(genres, genre_vectors, s, draws["users"])
    stock_day = _stock_days(len(catalogue), s, draws["stock"])
    expected = _expected_shares(item_vectors, user_vectors, quality, s)
    sold = draws["stock"].poisson(6000 * expected) * (stock_day <= 0)
    activity = draws["users"].gamma(s.activity_shape, size=s.n_users)
    return Truth(
        settings=s,
        items=_items(catalogue, sold, stock_day, s, draws["prices"]),
        users=_user_table(segments, s, draws["users"]),
        item_vectors=item_vectors,
        quality=quality,
        user_vectors=user_vectors,
        segments=segments,
        price_sensitivity=_float32(
            draws["users"].lognormal(np.log(s.price_sensitivity_mean), s.price_sensitivity_sd, s.n_users)
        ),
        activity=_float32(activity / activity.sum()),
        stock_day=stock_day,
        complements=_complements(catalogue, expected * (stock_day <= 0), s, draws["complements"]),
        trends=_trends(catalogue, stock_day, s, draws["trends"]),
    )


def _float32(values: np.ndarray) -> np.ndarray:
    """Round to what the shipped files hold, so that a world read from them is this very one."""
    return values.astype(np.float32).astype(np.float64)


def _fame(catalogue: pd.DataFrame) -> np.ndarray:
    """From 1 for a genre's first book, falling ever more slowly to 0 for its last."""
    place = catalogue.groupby("genre").cumcount() / catalogue.groupby("genre")["genre"].transform("size")
    return (1 - place.to_numpy()) ** 2


def _genre_vectors(s: Settings, rng) -> tuple[list[str], np.ndarray]:
    """Genres and their vectors of norm 1; genres of a family lean the same way."""
    genres = [genre for family in FAMILIES.values() for genre in family]
    family = np.repeat(np.arange(len(FAMILIES)), [len(f) for f in FAMILIES.values()])
    common = unit(rng.normal(size=(len(FAMILIES), s.n_factors)))
    return genres, unit(0.6 * common[family] + unit(rng.normal(size=(len(genres), s.n_factors))))


def _item_vectors(catalogue, genres, genre_vectors, s: Settings, rng) -> np.ndarray:
    genre = pd.Index(genres).get_indexer(catalogue["genre"])
    if (genre < 0).any():
        raise ValueError(f"genre {catalogue['genre'].to_numpy()[genre < 0][0]!r} is in no family (settings.py).")
    family = {g: [genres.index(o) for o in f if o != g] for f in FAMILIES.values() for g in f}
    luck = rng.random(len(genre))
    second = np.array([family[g][int(u * len(family[g]))] for g, u in zip(catalogue["genre"], luck, strict=True)])
    share = s.second_genre * rng.random((len(genre), 1))
    author, authors = pd.factorize(catalogue["author"])
    author_vectors = unit(rng.normal(size=(len(authors), s.n_factors)))
    noise = unit(rng.normal(size=(len(genre), s.n_factors)))
    mixture = unit((1 - share) * genre_vectors[genre] + share * genre_vectors[second])
    return unit(s.genre_weight * mixture + s.author_weight * author_vectors[author] + s.item_noise * noise)


def _users(genres, genre_vectors, s: Settings, rng) -> tuple[np.ndarray, np.ndarray]:
    shares = np.array([share for share, _, _ in SEGMENTS.values()])
    weights = np.array([[liked.get(g, 0) for g in genres] for _, liked, _ in SEGMENTS.values()])
    segments = rng.choice(len(SEGMENTS), size=s.n_users, p=shares / shares.sum())
    emphasis = weights[segments] * rng.gamma(2.0, 0.5, size=(s.n_users, len(genres)))  # each likes some more
    own = unit(rng.normal(size=(s.n_users, s.n_factors)))
    return segments, _float32(unit(unit(emphasis @ genre_vectors) + s.user_noise * own))


def _user_table(segments: np.ndarray, s: Settings, rng) -> pd.DataFrame:
    """What the shop knows: when they joined, and for some the genre they named then."""
    favourites = [list(liked) for _, liked, _ in SEGMENTS.values()]
    luck = rng.random(s.n_users)
    named = [favourites[g][int(u * len(favourites[g]))] for g, u in zip(segments, luck, strict=True)]
    named = np.where(rng.random(s.n_users) < 0.4, np.array(named, dtype=object), None)
    days_ago = rng.integers(1, 1500, s.n_users)
    joined = pd.Timestamp(s.first_day, tz="UTC").as_unit("ms") - pd.to_timedelta(days_ago, unit="D").as_unit("ms")
    return pd.DataFrame(
        {"user_id": np.arange(1, s.n_users + 1), "joined": joined, "favourite_genre": named.astype(object)}
    )


def _stock_days(n_items: int, s: Settings, rng) -> np.ndarray:
    """Day of the log from which each book is sold; the volumes of planted pairs are old stock."""
    day = -rng.integers(30, 2000, n_items)
    free = np.setdiff1d(np.arange(n_items), np.array([(i - 1, i) for i in FIRST_VOLUMES]).ravel())
    new = rng.choice(free, size=min(s.n_arrivals, len(free)), replace=False)
    day[new] = 7 * rng.integers(1, s.n_days // 7 - 1, len(new))  # Mondays
    return day


def _expected_shares(item_vectors, user_vectors, quality, s: Settings) -> np.ndarray:
    """Share of each book in what users would choose from the whole catalogue, shape (n_items,)."""
    logits = s.taste_scale * user_vectors[:1000] @ item_vectors.T + quality
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (weights / weights.sum(axis=1, keepdims=True)).mean(axis=0)


def _items(catalogue, sold, stock_day, s: Settings, rng) -> pd.DataFrame:
    median = catalogue["genre"].map(PRICES).fillna(10.0).to_numpy(dtype=float)
    price = np.floor(median * rng.lognormal(0, 0.25, len(catalogue))) + 0.99
    day = pd.to_timedelta(stock_day, unit="D").as_unit("ms")
    stocked = pd.Timestamp(s.first_day, tz="UTC").as_unit("ms") + day
    return catalogue.assign(price=price, stocked_since=stocked, sold_last_season=sold.astype(np.int64))


def _complements(catalogue, expected, s: Settings, rng) -> pd.DataFrame:
    """Pairs of books popular enough to be seen in carts together: volumes of a series, and across genres."""
    ids = catalogue["item_id"].to_numpy()
    series = [first for first in FIRST_VOLUMES if first < ids.max()]
    series.sort(key=lambda first: -expected[first - 1] * expected[first])
    pairs = [(first, first + 1, "next volume", True) for first in sorted(series[: s.n_next_volume])]
    families = {genre: family for family, genres in FAMILIES.items() for genre in genres}
    family = catalogue["genre"].map(families).to_numpy()
    weight = expected * ~np.isin(ids, np.ravel([pair[:2] for pair in pairs]))
    weight = np.where(weight >= np.sort(weight)[-len(ids) // 6], weight**0.5, 0)
    while len(pairs) < s.n_next_volume + s.n_across:
        first, second = rng.choice(len(ids), size=2, replace=False, p=weight / weight.sum())
        if family[first] != family[second]:
            pairs.append((int(ids[first]), int(ids[second]), "across genres", False))
            weight[[first, second]] = 0
    return pd.DataFrame(pairs, columns=["item_id", "with_item_id", "kind", "directed"])


def _trends(catalogue, stock_day, s: Settings, rng) -> pd.DataFrame:
    old = np.flatnonzero(stock_day <= 0)
    items = rng.choice(old, size=s.n_trends, replace=False)
    days = np.sort(rng.choice(np.arange(3, s.n_days - 10), size=s.n_trends, replace=False))
    return pd.DataFrame({"item_id": catalogue["item_id"].to_numpy()[items], "day": days})
