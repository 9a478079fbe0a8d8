"""Who is in which arm: by a hash of the id, so that nobody has to remember it and everybody comes back to the same arm.

    arm(id) = the share into which  hash(salt, id) / 2^64  falls

Another salt is another experiment: its arms are independent of those of the first. What came out is held against what
was meant by a chi-square test (Fabijan et al., "Diagnosing sample ratio mismatch in online controlled experiments",
KDD 2019): an experiment whose arms have impossible sizes has lost visitors somewhere, and its result is void.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from scipy import stats


def assign(ids, n_arms: int = 2, salt: str = "", shares: Sequence[float] | None = None) -> np.ndarray:
    """Put each id into an arm; the same id and salt always give the same arm.

    Parameters
    ----------
    ids : array-like of int or str, shape (n,)
        Of users, cookies or sessions; repeated ids are in the same arm. 7 and "7" are one id.
    n_arms : int
    salt : str
        Name of the experiment.
    shares : sequence of float, shape (n_arms,), optional
        Parts of the traffic, positive; by default equal.

    Returns
    -------
    ndarray of int64, shape (n,)
        Arm of each id, from 0 (control).

    Raises
    ------
    ValueError
        If an id is missing or no whole number or text, or the shares do not fit.

    Examples
    --------
    >>> assign(["ann", "bob", "ann", "cid"], salt="lists").tolist()
    [1, 0, 1, 0]
    """
    edges = np.cumsum(checked_shares(n_arms, shares))[:-1]
    distinct, place = np.unique(_text(ids), return_inverse=True)
    heads = (blake2b(f"{len(salt)}:{salt}{one}".encode(), digest_size=8).digest() for one in distinct)
    points = np.frombuffer(b"".join(heads), dtype=">u8") / 2.0**64
    return np.searchsorted(edges, points, side="right")[place].astype(np.int64)


def sample_ratio(arms, n_arms: int = 2, shares: Sequence[float] | None = None) -> float:
    """Return how likely arms at least as uneven are when nothing is wrong: the chi-square test's p-value.

    Parameters
    ----------
    arms : array-like of int, shape (n_units,)
        One entry for each unit that was assigned (each user once), not for each visit: visits of one user come
        together, and the test would ring without cause.
    n_arms, shares
        What was meant; see `assign`.

    Returns
    -------
    float
        Below 0.001 (say): find out what became of the missing visitors before you read anything else.
    """
    expected = checked_shares(n_arms, shares)
    counts = np.bincount(np.asarray(arms, dtype=np.int64), minlength=n_arms)
    if len(counts) > n_arms or counts.sum() == 0:
        raise ValueError(f"sample_ratio: {counts.sum()} units in arms 0 .. {len(counts) - 1}, but n_arms={n_arms}.")
    return float(stats.chisquare(counts, expected * counts.sum()).pvalue)


def checked_shares(n_arms: int, shares: Sequence[float] | None) -> np.ndarray:
    """Return the arms' shares, which sum to 1; float64, shape (n_arms,)."""
    parts = np.ones(max(n_arms, 0)) if shares is None else np.asarray(shares, dtype=np.float64)
    if n_arms < 2 or parts.shape != (n_arms,) or not np.isfinite(parts).all() or (parts <= 0).any():
        raise ValueError(f"n_arms={n_arms}, shares={shares}: two arms or more, and one positive share for each.")
    return parts / parts.sum()


def _text(ids) -> np.ndarray:
    array = ids.to_numpy() if hasattr(ids, "to_numpy") else np.asarray(ids)
    if array.ndim == 1 and array.dtype.kind in "iuU":
        return array.astype(str)
    bad = [one for one in array.ravel() if isinstance(one, bool) or not isinstance(one, (int, np.integer, str))]
    if bad or array.ndim != 1:
        what = f"{bad[0]!r} is no id" if bad else f"shape {array.shape} is no list of ids"
        raise ValueError(
            f"assign: {what}. Ids are whole numbers or text. A visitor who is not signed in has no user id: "
            "assign by a cookie or by session."
        )
    return array.astype(str)
