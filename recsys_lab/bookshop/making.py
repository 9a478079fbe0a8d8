"""Making the shipped shop's files: the world, its log, the planted defects, Parquet with reproducible bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from recsys_lab.bookshop.defects import plant
from recsys_lab.bookshop.files import catalogue
from recsys_lab.bookshop.policies import logging_policy
from recsys_lab.bookshop.poll_class import poll_class
from recsys_lab.bookshop.settings import Settings
from recsys_lab.bookshop.simulation import simulate
from recsys_lab.bookshop.world import build

WORLD_SEED, LOG_SEED, DEFECT_SEED = 199, 2025, 7  # the world's was chosen among 200: books that people know sell well
N_VISITS = 26_000
CLASS_SEED = 30  # of the class that stands in for a room in the live poll
SUMS = "SHA256SUMS"
#: Columns that are numbers in (nearly) ascending order, and columns of floats without repeats: their encodings.
_RISING = ("event_id", "request_id", "session_id", "timestamp", "start")
_FLOATS = ("propensity", "quality", "price_sensitivity", "activity")
_TYPES = {"position": "int8", "day": "int8", "stock_day": "int16", "segment_number": "int8", "propensity": "float32"}


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
        "poll_class": poll_class(world, CLASS_SEED),
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
