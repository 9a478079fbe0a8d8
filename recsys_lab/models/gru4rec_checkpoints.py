"""Checkpoints: the state of a training on disk, so that a kill costs minutes and not the run.

A checkpoint holds all that the next step depends on: weights, optimiser, the hidden state of every lane, the random
generator and the position. Each is one npz file (no pickle; every array has a checksum), written aside and then
renamed, so that a kill while writing leaves the one before. Two are kept: where one is damaged, the other is used.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np

META = "__meta__"


class Checkpoints:
    """A folder of checkpoints of one run.

    Parameters
    ----------
    folder : path
        Made where it does not exist. On Colab: one on a mounted drive.
    every : int
        Steps between two checkpoints; there is also one at the end of each epoch.
    keep : int
        How many to keep, at least 2.
    """

    def __init__(self, folder: str | Path, every: int = 2000, keep: int = 2):
        if every < 1 or keep < 2:
            raise ValueError(f"Checkpoints: every={every} must be at least 1 and keep={keep} at least 2.")
        self.folder, self.every, self.keep = Path(folder), every, keep

    def files(self) -> list[Path]:
        """All checkpoints, the newest first."""
        return sorted(self.folder.glob("checkpoint-*.npz"), reverse=True)

    def save(self, number: int, meta: dict, arrays: dict[str, np.ndarray]) -> Path:
        """Write a checkpoint; `number` counts steps from the start of the run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"checkpoint-{number:012d}.npz"
        handle, part = tempfile.mkstemp(dir=self.folder, suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, **arrays, **{META: np.array(json.dumps(meta))})
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        for old in self.files()[self.keep :]:
            old.unlink(missing_ok=True)
        return path

    def latest(self, run: str) -> tuple[dict, dict[str, np.ndarray]] | None:
        """Return meta and arrays of the newest sound checkpoint, or None where there is none.

        Parameters
        ----------
        run : str
            What the checkpoint's ``meta["run"]`` must be.

        Raises
        ------
        ValueError
            If the folder holds checkpoints of another run.

        Warns
        -----
        UserWarning
            For each damaged checkpoint that was passed over.
        """
        for path in self.files():
            try:
                meta, arrays = read(path)
            except ValueError as error:
                warnings.warn(f"{error} The one before it is used.", stacklevel=2)
                continue
            if meta["run"] != run:
                raise ValueError(
                    f"{self.folder} holds checkpoints of another run: settings or sessions differ. "
                    "Choose another folder, or delete this one to start again."
                )
            return meta, arrays
        return None


def read(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Read one checkpoint; a damaged one raises ValueError."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(str(arrays.pop(META))), arrays
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise ValueError(f"{path} is damaged ({error}).") from error
