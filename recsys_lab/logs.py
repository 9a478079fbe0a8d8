"""How the files of each real log become the tables of a `Dataset`.

A log comes in one of two forms: the tables of the course's data folder (Parquet), or the public files that
those were made from. For each log one function reads the public files into exactly the tables of the folder
(``rsc15_source`` …), and one turns such tables into what the course works with (``rsc15`` …): the event
log of `recsys_lab.events`, ratings, impressions, items, the published parts. What the second one removes stands
in its report.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from recsys_lab.cleaning import sessionise
from recsys_lab.events import EVENT_TYPES, read_table, validate_events, validate_impressions

Tables = dict[str, pd.DataFrame]
REPORT_COLUMNS = ("table", "step", "rows_before", "rows_removed", "rows_after", "why")


@dataclass
class Contents:
    """What a log holds.

    Attributes
    ----------
    tables : dict of str to DataFrame
        `events`, `ratings`, `pairs`, `impressions`, `items`, `users` and further ones, by name.
    parts : dict of str to DataFrame
        The parts that were published with the log.
    event_types : tuple of str
        The words of `events.event`.
    steps : list of tuple
        One for each cleaning step, see `REPORT_COLUMNS`.
    """

    tables: Tables = field(default_factory=dict)
    parts: Tables = field(default_factory=dict)
    event_types: tuple[str, ...] = EVENT_TYPES
    steps: list[tuple] = field(default_factory=list)

    def drop(self, table: str, frame: pd.DataFrame, bad, step: str, why: str) -> pd.DataFrame:
        """Return the frame without the rows where `bad` is true, and write that down."""
        kept = frame[~np.asarray(bad, dtype=bool)]
        self.steps.append((table, step, len(frame), len(frame) - len(kept), len(kept), why))
        return kept

    def keep(self, table: str, frame: pd.DataFrame, step: str, why: str) -> None:
        """Write down a step that looked at a table and removed nothing."""
        self.steps.append((table, step, len(frame), 0, len(frame), why))


def read(name: str, paths: dict[str, Path], from_source: bool) -> Contents:
    """Read a log from its files.

    Parameters
    ----------
    name : str
        As in `recsys_lab.datasets.load`.
    paths : dict of str to Path
        The log's files by the names that the registry gives them.
    from_source : bool
        Whether these are the public files; otherwise the data folder's tables.

    Returns
    -------
    Contents
    """
    source, build = _READERS[name]
    tables = source(paths) if from_source else {Path(f).stem: read_table(p) for f, p in paths.items()}
    contents = build(tables)
    _check(contents)
    return contents


def _check(contents: Contents) -> None:
    """Hold every event log and every table of impressions against its schema."""
    events = contents.tables.get("events")
    for frame in [events, *contents.parts.values()]:
        if frame is not None and "event" in frame:
            validate_events(frame, contents.event_types)
    impressions = contents.tables.get("impressions")
    if impressions is not None:
        # where visits are unknown, each request is checked as a visit of its own
        visits = {} if "session_id" in impressions else {"session_id": impressions["request_id"]}
        validate_impressions(impressions.assign(**visits), propensity_logged="propensity" in impressions)


def _utc(seconds: pd.Series) -> pd.Series:
    """Seconds since 1970, whole or with a fraction, as times in UTC to the microsecond."""
    return pd.to_datetime((seconds * 1e6).round().astype("int64"), unit="us", utc=True).dt.as_unit("us")


def _ints(frame: pd.DataFrame, **dtypes: str) -> pd.DataFrame:
    """Integer columns as int32, as the data folder stores them, except those named."""
    wide = frame.select_dtypes("int64").columns
    return frame.astype({column: dtypes.get(column, "int32") for column in wide})


# --- rsc15-100k -------------------------------------------------------------------------------------------

_RSC15_FILES = {
    "events_train_full": "yoochoose-clicks-100k_train_full.txt",
    "events_test": "yoochoose-clicks-100k_test.txt",
    "events_train_tr": "yoochoose-clicks-100k_train_tr.txt",
    "events_train_valid": "yoochoose-clicks-100k_train_valid.txt",
}


def rsc15_source(paths: dict[str, Path]) -> Tables:
    """Read session-rec's text files: tab-separated clicks, lists of recommendations in one cell."""
    columns = {"SessionId": "session_id", "ItemId": "item_id", "Time": "timestamp"}
    tables = {
        name: _ints(pd.read_csv(paths[f"data/rsc15/prepared/{file}"], sep="\t").rename(columns=columns))
        for name, file in _RSC15_FILES.items()
    }
    lists = [
        _rsc15_lists(paths[f"data/rsc15/recommendations/recoms_rsc15_100k_{model}.csv"], model)
        for model in ("sr", "ar", "vsknn", "gru4rec")
    ]
    tables["reference_recommendations"] = pd.concat(lists, ignore_index=True)
    return tables


def _rsc15_lists(path: Path, model: str) -> pd.DataFrame:
    frame = pd.read_csv(path, sep=";")
    frame.columns = ["session_id", "position", "item_id", "score"]
    for column in ("item_id", "score"):
        frame[column] = frame[column].str.split(",")
    frame = frame.explode(["item_id", "score"], ignore_index=True)
    frame.insert(2, "rank", frame.groupby(["session_id", "position"]).cumcount() + 1)
    frame.insert(0, "model", model)
    return _ints(frame.astype({"item_id": "int64", "score": "float64"}))


def rsc15(tables: Tables) -> Contents:
    """Clicks are views; `order` keeps two clicks apart that are equal in everything else."""
    clicks = {}
    for part, name in zip(("train", "test", "train_part", "validation"), _RSC15_FILES, strict=True):
        frame = tables[name].assign(event="view", timestamp=_utc(tables[name]["timestamp"]))
        clicks[part] = frame.assign(order=frame.groupby("session_id").cumcount())
    events = pd.concat([clicks["train"], clicks["test"]], ignore_index=True)
    contents = Contents(
        {"events": events, "reference_recommendations": tables["reference_recommendations"]},
        clicks,
        ("view",),
    )
    doubled = events.duplicated(["session_id", "item_id", "timestamp"]).sum()
    why = f"{doubled} click repeats another to the millisecond; the benchmark counts both, `order` parts them"
    contents.keep("events", events, "same click twice", why)
    return contents


# --- diginetica -------------------------------------------------------------------------------------------


class _PlainData(pickle.Unpickler):
    """Reads a pickle of lists and numbers and refuses anything that could run code.

    A pickle runs code by naming something to call, and every way of naming passes through these two methods.
    """

    def find_class(self, module, name):
        raise pickle.UnpicklingError(f"the file names {module}.{name}: it is no plain list of numbers.")

    def persistent_load(self, pid):
        raise pickle.UnpicklingError("the file refers to something outside itself.")


def diginetica_source(paths: dict[str, Path]) -> Tables:
    """Read GCE-GNN's lists; the test sessions come as (prefix, next item) pairs, longest prefix first."""
    with paths["datasets/diginetica/all_train_seq.txt"].open("rb") as file:
        train = _PlainData(file).load()
    with paths["datasets/diginetica/test.txt"].open("rb") as file:
        prefixes, targets = _PlainData(file).load()
    test, pair = [], 0
    while pair < len(prefixes):
        test.append([*prefixes[pair], targets[pair]])
        pair += len(prefixes[pair])  # a session of L clicks makes L - 1 pairs
    return {"sessions_train": _clicks(train), "sessions_test": _clicks(test)}


def _clicks(sessions: list[list[int]]) -> pd.DataFrame:
    lengths = np.array([len(s) for s in sessions])
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    columns = {
        "session_id": np.repeat(np.arange(len(sessions)), lengths),
        "position": np.arange(lengths.sum()) - starts,
        "item_id": np.array([item for s in sessions for item in s]),
    }
    return pd.DataFrame(columns).astype("int32")


def diginetica(tables: Tables) -> Contents:
    """Make views in order; in the whole log the test sessions are counted on after the train sessions."""
    train, test = (
        tables[f"sessions_{part}"].rename(columns={"position": "order"}).assign(event="view")
        for part in ("train", "test")
    )
    later = test.assign(session_id=test["session_id"] + train["session_id"].max() + 1)
    events = pd.concat([train, later], ignore_index=True)
    contents = Contents({"events": events}, {"train": train, "test": test}, ("view",))
    why = f"both files count from 0: test session s is session s + {train['session_id'].max() + 1} here"
    contents.keep("events", events, "renumber test sessions", why)
    return contents


# --- retailrocket-behaviours ------------------------------------------------------------------------------


def retailrocket(tables: Tables) -> Contents:
    """Make views, carts and purchases with times; sessions are cut at pauses of more than 30 minutes."""
    log = tables["interactions_train"]
    words = {"view": "view", "cart": "cart", "buy": "purchase"}
    events = log.assign(event=log["behaviour"].map(words), timestamp=_utc(log["timestamp"]))
    events = sessionise(events.drop(columns="behaviour"), gap="30min")
    contents = Contents(
        {"events": events}, {"train": events, "test": tables["buys_test"]}, ("view", "cart", "purchase")
    )
    why = f"{events['session_id'].nunique():,} sessions, cut where a user pauses for more than 30 minutes"
    contents.keep("events", events, "sessionise", why)
    return contents


# --- trivago-100k -----------------------------------------------------------------------------------------

_CLICKOUT = "clickout_item"


def trivago_source(paths: dict[str, Path]) -> Tables:
    """Read the Parquet copy of the challenge's rows."""
    return {"actions": pd.read_parquet(paths["trivago_val_100k.parquet.snappy"]).astype({"step": "int32"})}


def trivago(tables: Tables) -> Contents:
    """Actions in the log's own words; what a click-out showed becomes a table of impressions."""
    log = tables["actions"].rename(columns={"reference": "item_id", "step": "order", "action_type": "event"})
    log = log.assign(event=log["event"].str.replace(" ", "_"), timestamp=_utc(log["timestamp"]))
    contents = Contents(event_types=tuple(sorted(log["event"].unique())))
    nothing = log["item_id"].isna() | (log["item_id"] == "unknown")
    events = contents.drop("events", log, nothing, "no reference", "the log says 'unknown' or nothing")
    contents.tables["events"] = events.drop(columns=["impressions", "prices"]).reset_index(drop=True)
    contents.tables["impressions"] = _trivago_impressions(log[log["event"] == _CLICKOUT], contents)
    return contents


def _trivago_impressions(clickouts: pd.DataFrame, contents: Contents) -> pd.DataFrame:
    shown = clickouts[["session_id", "item_id", "impressions", "prices"]].reset_index(drop=True)
    shown = shown.rename(columns={"item_id": "chosen"}).rename_axis("request_id").reset_index()
    shown = shown.assign(item_id=shown.pop("impressions").str.split("|"), price=shown.pop("prices").str.split("|"))
    shown = shown.explode(["item_id", "price"], ignore_index=True).astype({"price": "int64"})
    shown["position"] = shown.groupby("request_id").cumcount() + 1
    shown["clicked"] = shown["item_id"] == shown.pop("chosen")
    outside = len(clickouts) - shown.groupby("request_id")["clicked"].any().sum()
    contents.keep("impressions", shown, "click outside the list", f"{outside} click-outs chose a hotel not shown")
    twice = shown.duplicated(["request_id", "item_id"], keep=False)
    why = f"in {shown.loc[twice, 'request_id'].nunique()} lists a hotel stands twice; both rows are kept"
    contents.keep("impressions", shown, "hotel twice in a list", why)
    return shown[["request_id", "session_id", "item_id", "position", "price", "clicked"]]


# --- online-retail ----------------------------------------------------------------------------------------


def online_retail_source(paths: dict[str, Path]) -> Tables:
    """Read the Parquet copy of UCI's sheet."""
    frame = pd.read_parquet(paths["retail_session.parquet.snappy"])
    frame.columns = [
        *("invoice_no", "stock_code", "description", "quantity"),
        *("invoice_date", "unit_price", "customer_id", "country"),
    ]
    return {"transactions": _ints(frame)}


def online_retail(tables: Tables) -> Contents:
    """Make an invoice a session and a line an event: purchase, return (cancelled) or write_off (stock)."""
    lines = tables["transactions"].rename(
        columns={"invoice_no": "session_id", "stock_code": "item_id", "unit_price": "price"}
    )
    lines["order"] = lines.groupby("session_id", sort=False).cumcount()
    contents = Contents(event_types=("purchase", "return", "write_off"))
    kind = lines["session_id"].str[0]
    book = contents.drop("events", lines, kind == "A", "bookkeeping", "invoices A…: bad debt adjusted, nothing sold")
    events = pd.DataFrame(
        {
            **{column: book[column] for column in ("session_id", "item_id")},
            "event": np.select([kind[book.index] == "C", book["quantity"] < 0], ["return", "write_off"], "purchase"),
            "timestamp": book["invoice_date"].dt.tz_localize("Europe/London"),
            "order": book["order"],
            "user_id": book["customer_id"].astype("Int64"),
            **{column: book[column] for column in ("price", "quantity", "country")},
        }
    ).reset_index(drop=True)
    _report_retail(events, contents)
    contents.tables = {"events": events, "items": _retail_items(book)}
    return contents


def _report_retail(events: pd.DataFrame, contents: Contents) -> None:
    doubled = events.drop(columns="order").duplicated().sum()
    for step, count, why in (
        ("no customer", events["user_id"].isna().sum(), "lines name no customer: their `user_id` is missing"),
        ("price of 0", (events["price"] == 0).sum(), "lines have a price of 0 (write-offs, gifts, mistakes)"),
        (
            "same line twice",
            doubled,
            "lines repeat one of their invoice; `order`, the line number, tells them apart",
        ),
    ):
        contents.keep("events", events, step, f"{count:,} {why}")


def _retail_items(lines: pd.DataFrame) -> pd.DataFrame:
    """Stock codes with their most frequent description; postage, fees and the like are no products."""
    texts = lines.dropna(subset="description").groupby(["item_id", "description"], as_index=False).size()
    texts = texts.sort_values("size", ascending=False, kind="stable").drop_duplicates("item_id")
    items = pd.DataFrame({"item_id": np.sort(lines["item_id"].unique())})
    items = items.merge(texts.rename(columns={"description": "title"}).drop(columns="size"), how="left")
    return items.assign(product=items["item_id"].str.match(r"\d{5}|DCGS|gift_"))


# --- goodbooks-10k ----------------------------------------------------------------------------------------


def goodbooks_source(paths: dict[str, Path]) -> Tables:
    """Read books and ratings; genres come from a second, ISBNs are mended."""
    books = _ints(pd.read_csv(paths["books.csv"], dtype={"isbn": "object"}))
    isbn10 = books.pop("isbn").map(_isbn10)
    books.insert(5, "isbn10", isbn10)
    books["isbn13"] = isbn10.map(_isbn13, na_action="ignore")
    genres = pd.read_csv(paths["data/book_metadata.csv"]).set_index("book_id")["genres"]
    books["genres"] = books["book_id"].map(genres)
    ratings = pd.read_csv(paths["data/ratings_random.csv"])
    return {"books": books, "ratings_sample": _ints(ratings, rating="int8")}


def _isbn10(text) -> str | None:
    """Ten digits with the leading zeros that a spreadsheet took; None where the check digit is wrong."""
    if not isinstance(text, str):
        return None
    text = text.zfill(10)
    digits = [10 if d == "X" else int(d) for d in text if d.isdigit() or d == "X"]
    return text if len(digits) == 10 and sum((10 - i) * d for i, d in enumerate(digits)) % 11 == 0 else None


def _isbn13(isbn10: str) -> str:
    """Make the same book's 13 digits; the source has them rounded to 9.78e12."""
    stem = "978" + isbn10[:9]
    return stem + str(-sum(int(d) * (3 if i % 2 else 1) for i, d in enumerate(stem)) % 10)


def goodbooks(tables: Tables) -> Contents:
    """Ratings in the order of the source, and the whole catalogue."""
    items = tables["books"].rename(columns={"book_id": "item_id", "original_publication_year": "year"})
    items = items.assign(year=items["year"].astype("Int64"), genres=items["genres"].str.replace(",", "|"))
    ratings = tables["ratings_sample"].rename(columns={"book_id": "item_id"})
    ratings["order"] = np.arange(len(ratings))
    contents = Contents({"ratings": ratings, "items": items}, event_types=())
    unrated = len(items) - items["item_id"].isin(ratings["item_id"]).sum()
    contents.keep("items", items, "without a rating", f"{unrated} books have no rating in this sample of the users")
    return contents


# --- MovieLens --------------------------------------------------------------------------------------------


def movielens_100k_source(paths: dict[str, Path]) -> Tables:
    """Read GroupLens' ml-100k.zip without unpacking it; its text is Latin-1."""
    with zipfile.ZipFile(paths["ml-100k.zip"]) as archive:
        ratings = pd.read_csv(archive.open("ml-100k/u.data"), sep="\t", header=None)
        users = pd.read_csv(archive.open("ml-100k/u.user"), sep="|", header=None, dtype={4: str})
        movies = pd.read_csv(archive.open("ml-100k/u.item"), sep="|", header=None, encoding="latin-1")
        genres = pd.read_csv(archive.open("ml-100k/u.genre"), sep="|", header=None)[0]
    ratings.columns = ["user_id", "movie_id", "rating", "timestamp"]
    users.columns = ["user_id", "age", "gender", "occupation", "zip_code"]
    flags = movies.iloc[:, 5 : 5 + len(genres)].to_numpy(dtype=bool)
    return {
        "ratings": _ints(ratings, rating="int8", timestamp="int64"),
        "users": _ints(users, age="int16"),
        "movies": pd.DataFrame(
            {
                "movie_id": movies[0].astype("int32"),
                "title": movies[1],
                "genres": [" ".join(genres[row]) for row in flags],
            }
        ),
    }


def movielens_1m_source(paths: dict[str, Path]) -> Tables:
    """Read GroupLens' ml-1m.zip without unpacking it: fields between double colons, text in Latin-1."""
    names = {
        "ratings": ["user_id", "movie_id", "rating", "timestamp"],
        "movies": ["movie_id", "title", "genres"],
        "users": ["user_id", "gender", "age_code", "occupation_code", "zip_code"],
    }
    small = {"rating": "int8", "age_code": "int8", "occupation_code": "int8", "timestamp": "int64"}
    tables = {}
    with zipfile.ZipFile(paths["ml-1m.zip"]) as archive:
        for table, columns in names.items():
            text = archive.read(f"ml-1m/{table}.dat").decode("latin-1").replace("::", "\x1f")
            frame = pd.read_csv(io.StringIO(text), sep="\x1f", header=None, names=columns, dtype={"zip_code": str})
            tables[table] = _ints(frame, **small)
    return tables


def movielens_latest_source(paths: dict[str, Path]) -> Tables:
    """Read GroupLens' ml-latest-small.zip without unpacking it."""
    columns = {"userId": "user_id", "movieId": "movie_id"}
    with zipfile.ZipFile(paths["ml-latest-small.zip"]) as archive:
        tables = {
            name: _ints(
                pd.read_csv(archive.open(f"ml-latest-small/{name}.csv")).rename(columns=columns),
                timestamp="int64",
            )
            for name in ("ratings", "movies", "tags")
        }
    tables["ratings"] = tables["ratings"].astype({"rating": "float32"})
    return tables


def movielens(tables: Tables) -> Contents:
    """Make ratings (with times if there are any), titles apart from years, genres parted by bars."""
    contents = Contents(event_types=())
    for name in (table for table in ("ratings", "movies", "users", "tags") if table in tables):
        frame = tables[name].rename(columns={"movie_id": "item_id"})
        if "timestamp" in frame:
            frame["timestamp"] = _utc(frame["timestamp"])
        contents.tables["items" if name == "movies" else name] = frame
    items = contents.tables["items"] = _movielens_items(contents.tables["items"])
    unrated = len(items) - items["item_id"].isin(contents.tables["ratings"]["item_id"]).sum()
    contents.keep("items", items, "without a rating", f"{unrated} films were never rated")
    contents.keep("items", items, "without a year", f"{items['year'].isna().sum()} titles name no year")
    return contents


def _movielens_items(movies: pd.DataFrame) -> pd.DataFrame:
    title = movies["title"]
    if "release_year" in movies:  # a copy that has cut the year off
        year = movies["release_year"]
        title = title.where(~year.str.fullmatch(r"\d{4}"), title + " (" + year + ")")
    split = title.str.strip().str.extract(r"^(?P<title>.*?)\s*(?:\((?P<year>\d{4})\)(?: \(V\))?)?$")
    genres = movies["genres"].where(movies["genres"] != "(no genres listed)", "")
    if not genres.str.contains("|", regex=False).any():
        genres = genres.str.replace(" ", "|")
    year = pd.to_numeric(split["year"]).astype("Int64")
    return pd.DataFrame({"item_id": movies["item_id"], "title": split["title"], "year": year, "genres": genres})


# --- gowalla ----------------------------------------------------------------------------------------------


def gowalla_source(paths: dict[str, Path]) -> Tables:
    """Read the train part from the adjacency matrix (users first, then places), the test part from text."""
    from scipy.sparse import load_npz

    lines = [line.split() for line in paths["data/gowalla/test.txt"].read_text().splitlines()]
    n_users = len(lines)  # each user has a line, and items in it
    test = pd.DataFrame(
        {
            "user_id": np.repeat([int(line[0]) for line in lines], [len(line) - 1 for line in lines]),
            "item_id": [int(item) for line in lines for item in line[1:]],
        }
    )
    matrix = load_npz(paths["data/gowalla/s_adj_mat.npz"])[:n_users, n_users:].tocoo()  # load_npz opens no pickle
    train = pd.DataFrame({"user_id": matrix.row, "item_id": matrix.col})
    return {"train": train.astype("int32"), "test": test.astype("int32")}


def gowalla(tables: Tables) -> Contents:
    """Pairs, as published."""
    pairs = pd.concat([tables["train"], tables["test"]], ignore_index=True)
    return Contents({"pairs": pairs}, dict(tables), event_types=())


# --- open-bandit ------------------------------------------------------------------------------------------

_CAMPAIGNS = ("men", "women")


def open_bandit_source(paths: dict[str, Path]) -> Tables:
    """Read the csv files of both policies and both campaigns."""
    tables = {}
    for campaign in _CAMPAIGNS:
        for table, file in (("logs", f"{campaign}.csv"), ("items", "item_context.csv")):
            frames = []
            for policy in ("random", "bts"):
                frame = pd.read_csv(paths[f"obd/{policy}/{campaign}/{file}"], index_col=0)
                frame.insert(0, "policy", policy)
                frames.append(frame)
            tables[f"{table}_{campaign}"] = _open_bandit_types(pd.concat(frames, ignore_index=True))
    return tables


def _open_bandit_types(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.rename(columns=lambda name: name.replace("user-item", "user_item"))
    if "timestamp" in frame:
        frame["timestamp"] = pd.to_datetime(frame["timestamp"], utc=True, format="ISO8601").dt.as_unit("us")
    small = {column: "int8" for column in ("item_id", "position", "click") if column in frame}
    return frame.astype(small | {column: "float32" for column in frame if "affinity" in column})


def open_bandit(tables: Tables) -> Contents:
    """Impressions with policy, campaign and propensity; affinities to every item in tables of their own."""
    contents, first, logs = Contents(event_types=()), 0, []
    for campaign in _CAMPAIGNS:
        log = tables[f"logs_{campaign}"]
        log = log.assign(request_id=np.arange(first, first + len(log)), campaign=campaign)
        first += len(log)
        affinities = [column for column in log if "affinity" in column]
        contents.tables[f"affinities_{campaign}"] = log.set_index("request_id")[affinities]
        logs.append(log.drop(columns=affinities))
    shown = pd.concat(logs, ignore_index=True).rename(columns={"propensity_score": "propensity", "click": "clicked"})
    shown = shown.astype({"clicked": bool, "item_id": "int64", "position": "int64"})
    first = ["request_id", "campaign", "policy", "timestamp", "item_id", "position", "propensity", "clicked"]
    contents.tables["impressions"] = shown[first + [c for c in shown if c not in first]]
    items = [tables[f"items_{campaign}"].assign(campaign=campaign) for campaign in _CAMPAIGNS]
    contents.tables["items"] = pd.concat(items, ignore_index=True).astype({"item_id": "int64"})
    for (campaign, policy), part in contents.tables["impressions"].groupby(["campaign", "policy"], sort=False):
        contents.parts[f"{campaign}_{policy}"] = part.reset_index(drop=True)
    return contents


def _no_source(paths: dict[str, Path]) -> Tables:
    raise ValueError("this log has no public files that can be read.")


# how to read the public files, and how to make the course's tables
_READERS: dict[str, tuple[Callable[[dict[str, Path]], Tables], Callable[[Tables], Contents]]] = {
    "rsc15-100k": (rsc15_source, rsc15),
    "diginetica": (diginetica_source, diginetica),
    "retailrocket-behaviours": (_no_source, retailrocket),
    "trivago-100k": (trivago_source, trivago),
    "online-retail": (online_retail_source, online_retail),
    "goodbooks-10k": (goodbooks_source, goodbooks),
    "movielens-100k": (movielens_100k_source, movielens),
    "movielens-latest-small": (movielens_latest_source, movielens),
    "movielens-1m": (movielens_1m_source, movielens),
    "gowalla": (gowalla_source, gowalla),
    "open-bandit": (open_bandit_source, open_bandit),
}
