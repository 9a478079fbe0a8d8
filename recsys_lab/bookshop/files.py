"""The shipped shop: where its files are, and reading them (`making` writes them)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from recsys_lab.bookshop.hidden import Truth
from recsys_lab.bookshop.settings import SEGMENTS, Settings

TABLES = ("events", "impressions", "items", "users")


def data_folder() -> Path:
    """Return where the shipped files are: inside an installed package, beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside, beside = package / "_data", package.parent / "data"
    return inside if (inside / "books.csv").is_file() else beside


def catalogue(folder: Path | None = None) -> pd.DataFrame:
    """Return ``books.csv``: `item_id, title, author, year, language, genre`. Real books; written by hand."""
    return pd.read_csv((folder or data_folder()) / "books.csv", keep_default_na=False, encoding="utf-8")


def load(folder: Path | None = None) -> dict[str, pd.DataFrame]:
    """Return the shipped, simulated log with its planted defects.

    Returns
    -------
    dict of str to DataFrame
        `events`, `impressions`, `items`, `users`; their columns are listed in ``data/README.md``.
    """
    folder = folder or data_folder()
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    tables["events"]["user_id"] = tables["events"]["user_id"].astype("Int64")
    return tables


def truth(folder: Path | None = None) -> Truth:
    """Return the shipped shop's hidden side (read once; the same object every time)."""
    return _truth(Path(folder or data_folder()))


@lru_cache(maxsize=4)
def _truth(folder: Path) -> Truth:
    def read(name):
        return pd.read_parquet(folder / f"{name}.parquet")

    items, users = read("truth_items"), read("truth_users")
    values = json.loads((folder / "truth_settings.json").read_text(encoding="utf-8"))
    settings = Settings(**{key: tuple(v) if isinstance(v, list) else v for key, v in values.items()})
    return Truth(
        settings=settings,
        items=read("items"),
        users=read("users"),
        item_vectors=_vectors(items),
        quality=items["quality"].to_numpy(dtype=np.float64),
        user_vectors=_vectors(users),
        segments=pd.Index(list(SEGMENTS)).get_indexer(users["segment"]),
        price_sensitivity=users["price_sensitivity"].to_numpy(dtype=np.float64),
        activity=users["activity"].to_numpy(dtype=np.float64),
        stock_day=items["stock_day"].to_numpy(dtype=np.int64),
        complements=read("truth_complements"),
        trends=read("truth_trends"),
        sessions=read("truth_sessions"),
        defects=read("truth_defects"),
    )


def _vectors(table: pd.DataFrame) -> np.ndarray:
    return table.filter(regex=r"^v\d+$").to_numpy(dtype=np.float64)
