"""``python -m recsys_lab.bookshop [--check]``: make the simulated shop's files again, or compare them."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from recsys_lab.bookshop import files, making


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m recsys_lab.bookshop", description=main.__doc__)
    parser.description = "Make the files of the simulated bookshop in data/ again from books.csv."
    parser.add_argument("--check", action="store_true", help="write nothing; compare with the files that are there")
    folder = files.data_folder()
    check = parser.parse_args(argv).check
    if check and _stale(folder):
        return 1
    tables = making.make(_progress)
    if not check:
        making.save(tables, folder)
        print(f"wrote {len(tables)} files and {making.SUMS} to {folder.name}/")
        return 0
    return _compare(tables, folder)


def _progress(done: int, total: int) -> None:
    end = "\n" if done == total else ""
    print(f"\rsimulated {done:,} of {total:,} visits", end=end, file=sys.stderr, flush=True)


def _stale(folder: Path) -> bool:
    """Say which files are not those that the checksums were taken of."""
    want, have = making.recorded(folder), making.hashes(folder)
    bad = sorted(name for name in want.keys() | have.keys() if want.get(name) != have.get(name))
    for name in bad:
        print(f"{name}: differs from {making.SUMS}. Mend: python -m recsys_lab.bookshop", file=sys.stderr)
    return bool(bad)


def _compare(tables, folder: Path) -> int:
    """Compare what was made just now with the files: bytes first, then the tables' values."""
    import pyarrow
    import pyarrow.parquet as pq

    status = 0
    with tempfile.TemporaryDirectory() as made:
        making.save(tables, Path(made))
        new, old = making.hashes(Path(made)), making.recorded(folder)
        for name in (name for name in new if new[name] != old.get(name)):
            same = name.endswith(".parquet") and pq.read_table(Path(made, name)).equals(pq.read_table(folder / name))
            status |= not same
            note = f"the same table in other bytes (pyarrow {pyarrow.__version__})" if same else "ANOTHER TABLE"
            print(f"{name}: {note}", file=sys.stderr)
    print("made anew, the simulated shop is " + ("not the shipped one" if status else "the shipped one"))
    return status


if __name__ == "__main__":
    sys.exit(main())
