"""The shipped shop: where its files are, how they are written and read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from recsys_lab.bookshop.defects import plant
from recsys_lab.bookshop.hidden import Truth
from recsys_lab.bookshop.policies import logging_policy
from recsys_lab.bookshop.settings import SEGMENTS, Settings
from recsys_lab.bookshop.simulation import simulate
from recsys_lab.bookshop.world import build

WORLD_SEED, LOG_SEED, DEFECT_SEED = 199, 2025, 7  # the world's was chosen among 200: books that people know sell well
N_VISITS = 26_000
TABLES = ("events", "impressions", "items", "users")
SUMS = "SHA256SUMS"
#: Columns that are numbers in (nearly) ascending order, and columns of floats without repeats: their encodings.
_RISING = ("event_id", "request_id", "session_id", "timestamp", "start")
_FLOATS = ("propensity", "quality", "price_sensitivity", "activity")
_TYPES = {"position": "int8", "day": "int8", "stock_day": "int16", "segment_number": "int8", "propensity": "float32"}


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


def make(progress: Callable[[int, int], None] | None = None) -> dict[str, pd.DataFrame | dict]:
    """Make everything that is shipped, by name of the file without its ending."""
    world = build(catalogue(), Settings(), WORLD_SEED)
    clean = simulate(logging_policy(world), N_VISITS, LOG_SEED, truth=world, progress=progress)
    log, defects = plant(clean, world, DEFECT_SEED)
    columns = {f"v{i}": world.item_vectors[:, i] for i in range(world.settings.n_factors)}
    own = {f"v{i}": world.user_vectors[:, i] for i in range(world.settings.n_factors)}
    ids = {"item_id": world.items["item_id"], "quality": world.quality, "stock_day": world.stock_day}
    people = {"user_id": world.users["user_id"], "segment": world.segment.to_numpy()}
    people |= {"price_sensitivity": world.price_sensitivity, "activity": world.activity}
    return {
        "events": log.events,
        "impressions": log.impressions,
        "items": world.items,
        "users": world.users,
        "truth_items": pd.DataFrame(ids | columns),
        "truth_users": pd.DataFrame(people | own),
        "truth_sessions": log.sessions,
        "truth_complements": world.complements,
        "truth_trends": world.trends,
        "truth_defects": defects,
        "truth_settings": asdict(world.settings),
    }


def save(tables: dict[str, pd.DataFrame | dict], folder: Path) -> None:
    """Write the shipped files and their checksums."""
    for name, table in tables.items():
        if isinstance(table, dict):
            text = json.dumps(table, indent=1, ensure_ascii=False)
            (folder / f"{name}.json").write_bytes(text.encode() + b"\n")
        else:
            _write_parquet(table, folder / f"{name}.parquet")
    (folder / SUMS).write_bytes("".join(f"{h}  {n}\n" for n, h in hashes(folder).items()).encode())


def hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of each data file in a folder, by name."""
    files = sorted(f for f in folder.iterdir() if f.suffix in (".csv", ".parquet", ".json"))
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def recorded(folder: Path) -> dict[str, str]:
    """Return what ``SHA256SUMS`` says, by file name."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    return {name: value for value, name in (line.split("  ", 1) for line in lines)}


def _write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write the same bytes for the same table and pyarrow version; no pandas metadata, nothing but the columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.table({name: _column(name, table[name]) for name in table})
    encodings = {c: "DELTA_BINARY_PACKED" for c in _RISING if c in table}
    encodings |= {c: "BYTE_STREAM_SPLIT" for c in table if c in _FLOATS or (c[0] == "v" and c[1:].isdigit())}
    pq.write_table(
        arrow,
        path,
        compression="zstd",
        compression_level=15,
        use_dictionary=[c for c in table if c not in encodings],
        column_encoding=encodings,
        data_page_size=2**20,
        write_statistics=False,
    )


def _column(name: str, values: pd.Series):
    import pyarrow as pa

    kinds = {"timestamp": "ms", "start": "ms", "joined": "ms", "stocked_since": "ms"}
    if name in kinds:
        return pa.array(values.dt.tz_convert("UTC"), type=pa.timestamp("ms", tz="UTC"))
    if pd.api.types.is_bool_dtype(values):
        return pa.array(values.to_numpy(), type=pa.bool_())
    if name in _TYPES:
        return pa.array(values.to_numpy(), type=pa.from_numpy_dtype(_TYPES[name]))
    if pd.api.types.is_integer_dtype(values):
        return pa.array(values, type=pa.int32(), from_pandas=True)
    if pd.api.types.is_float_dtype(values):
        narrow = name in _FLOATS or (name[0] == "v" and name[1:].isdigit())
        return pa.array(values, type=pa.float32() if narrow else pa.float64(), from_pandas=True)
    return pa.array(values.astype(object), type=pa.string(), from_pandas=True)
