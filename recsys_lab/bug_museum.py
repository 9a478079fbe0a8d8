"""Five mistakes from public code of session models, to be caught by tests: small exhibits, and what each one costs.

Versions of GRU4Rec by others lost up to most of its accuracy to features left out and mistakes made, and went on being
used (Hidasi & Czapp, "The effect of third party implementations on reproducibility", RecSys 2023). Here are two sound
kinds of exhibit, `Answers` and `Loss`, their subclasses with one mistake each, and `planted`, which puts the same
mistakes into the lab's own model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from unittest import mock

import numpy as np

# ---- small models that answer -------------------------------------------------------------------------------------


class Answers:
    """Answers of a small recurrent model with random weights, without a mistake.

    Parameters
    ----------
    seed : int
        Of the weights.
    n_items, n_units : int
    """

    about = "sound"

    def __init__(self, seed: int = 0, n_items: int = 8, n_units: int = 12):
        self.seed, self.n_items, self.rng = seed, n_items, np.random.default_rng(seed)
        self.items = self.rng.normal(size=(n_items, n_units))
        self.memory = self.rng.normal(size=(n_units, n_units)) / np.sqrt(n_units)

    def score(self, sessions) -> np.ndarray:
        """Scores of all items after the last click of each session, (n_sessions, n_items).

        Parameters
        ----------
        sessions : sequence of sequences of int
            Items 0 .. n_items-1; no session is empty.
        """
        return np.array([self.items @ self.read(session, self.start()) for session in sessions])

    def start(self) -> np.ndarray:
        """State of a session without clicks."""
        return np.zeros(len(self.memory))

    def read(self, session, state: np.ndarray) -> np.ndarray:
        """State after some more clicks; -1 is padding, a vector of zeros."""
        for item in session:
            state = np.tanh((self.items[item] if item >= 0 else 0) + self.memory @ state)
        return state

    def __eq__(self, other) -> bool:
        return type(self) is type(other) and (self.seed, self.n_items) == (other.seed, other.n_items)

    __hash__ = None

    def __repr__(self) -> str:
        return f"<model {self.seed}: {self.about}>"


class RoundedAnswers(Answers):
    """Sound too: single precision, where sums differ in their seventh digit with the order of adding up."""

    about = "sound, in single precision"

    def score(self, sessions) -> np.ndarray:
        """Scores, added up in one order for a single session and in the other for several."""
        order = slice(None, None, -1 if len(sessions) > 1 else 1)
        states = [self.read(session, self.start()) for session in sessions]
        terms = np.float32(self.items)[None] * np.float32(states)[:, None]  # (n_sessions, n_items, n_units)
        return np.cumsum(terms[:, :, order], axis=2)[:, :, -1]


class LeftPadded(Answers):
    """Pads on the left to the longest session; a packed GRU then reads as many entries as it is told, from the left."""

    about = "left padding with a packed GRU"

    def score(self, sessions) -> np.ndarray:
        """Scores after the first `length` entries of each padded row: padding first, the last clicks never."""
        longest = max(len(session) for session in sessions)
        padded = [[-1] * (longest - len(session)) + list(session) for session in sessions]
        read = [row[: len(session)] for row, session in zip(padded, sessions, strict=True)]
        return super().score(read)


class NeverReset(Answers):
    """A new session starts with the memory of the one before it."""

    about = "no reset at session starts"

    def score(self, sessions) -> np.ndarray:
        """Scores, with one state that goes through all sessions."""
        state, states = self.start(), []
        for session in sessions:
            state = self.read(session, state)
            states.append(state)
        return np.array(states) @ self.items.T


class StillDropping(Answers):
    """Nobody switched dropout off after training."""

    about = "dropout active in evaluation"

    def score(self, sessions) -> np.ndarray:
        """Scores from states of which half the numbers are zero, other ones each time."""
        states = np.array([self.read(session, self.start()) for session in sessions])
        return 2 * states * (self.rng.random(states.shape) < 0.5) @ self.items.T


class Shifted(Answers):
    """In company all scores are lower than alone, or all higher, by the same number: the order stays as it is."""

    about = "in company, all scores are moved by the same number"

    def score(self, sessions) -> np.ndarray:
        """Scores, moved where several sessions are asked about: down with an even seed, up with an odd one."""
        return super().score(sessions) + (len(sessions) > 1) * (0.5 if self.seed % 2 else -0.5)


class Exchanged(Answers):
    """Behind another session two items have each other's scores: all sums stay as they are."""

    about = "behind another session, two items have each other's scores"

    def score(self, sessions) -> np.ndarray:
        """Scores, with two columns exchanged in all rows but the first; the seed says which."""
        scores = super().score(sessions)
        pair = np.array([self.seed, self.seed + 1]) % self.n_items
        scores[1:, pair] = scores[1:, pair[::-1]]
        return scores


# ---- losses of one click ------------------------------------------------------------------------------------------


class Loss:
    """Cross-entropy over the sampled softmax with logQ correction, for one click."""

    about = "sound"

    def __call__(self, scores, target, negatives, expected) -> float:
        """Loss of one click.

        Parameters
        ----------
        scores : ndarray of float, shape (n_items,)
        target : int
        negatives : sequence of int
            Items as they were drawn: one may be there twice, and the target may be among them.
        expected : ndarray of float, shape (n_items,)
            How often each item is expected among the negatives.
        """
        right, wrong = np.exp(scores[target]), np.exp(scores) * self.weights(expected)
        return float(np.log(right + sum(wrong[j] for j in negatives if self.counts(j, target))) - scores[target])

    def weights(self, expected):
        """What each wrong item counts."""
        return 1 / expected

    def counts(self, item: int, target: int) -> bool:
        """Whether an item that was drawn is a wrong one."""
        return item != target

    def __eq__(self, other) -> bool:
        return type(self) is type(other)

    __hash__ = None

    def __repr__(self) -> str:
        return f"<loss: {self.about}>"


class RoundedLoss(Loss):
    """Sound too: computed in single precision, and safe from overflow."""

    about = "sound, in single precision"

    def __call__(self, scores, target, negatives, expected) -> float:
        """Loss of one click, from logarithms; by another formula where the target was drawn."""
        scores, logq = np.float32(scores), np.log(np.float32(expected))
        terms = [scores[target], *(scores[j] - logq[j] for j in negatives if j != target)]
        terms = np.array(terms, np.float32)
        if target in negatives:
            return float(np.log(np.exp(terms - terms.max()).sum()) + terms.max() - scores[target])
        return float(np.logaddexp.reduce(terms) - scores[target])


class WrongSign(Loss):
    """The correction goes the wrong way: what is drawn often counts more."""

    about = "wrong sign of logQ"

    def weights(self, expected):
        """What each wrong item counts: far too much if it is popular."""
        return expected


class TargetIsWrong(Loss):
    """The right item, drawn by chance, is pushed down as a wrong one."""

    about = "target counted among the negatives"

    def counts(self, item: int, target: int) -> bool:
        """Whether an item that was drawn is a wrong one: always."""
        return True


class TargetUncorrected(TargetIsWrong):
    """The right item, drawn by chance, is pushed down as a wrong one, and weighs 1 however often it is expected."""

    about = "target counted among the negatives, without correction"

    def __call__(self, scores, target, negatives, expected) -> float:
        """Loss of one click."""
        expected = np.array(expected, float)
        expected[target] = 1.0
        return super().__call__(scores, target, negatives, expected)


ANSWERS = (Answers, RoundedAnswers, LeftPadded, NeverReset, StillDropping)
LOSSES = (Loss, RoundedLoss, WrongSign, TargetIsWrong)
SUBTLE = (Shifted, Exchanged, TargetUncorrected)  # for tests that look too little
MISTAKES = tuple(kind.about for kind in (*ANSWERS, *LOSSES) if not kind.about.startswith("sound"))


# ---- the same mistakes in the lab's own model ---------------------------------------------------------------------


@contextmanager
def planted(mistake: str) -> Iterator[None]:
    """Put one of `MISTAKES` into `PlainGRU4Rec`, for training and for answering, until the ``with`` ends.

    Raises
    ------
    ValueError
        For an unknown mistake.
    """
    from recsys_lab.models import gru4rec_plain as plain

    model = plain.PlainGRU4Rec
    places = {
        LeftPadded.about: [(model, "_score", _answers(_left_padded))],
        NeverReset.about: [(plain, "session_parallel", _no_first(plain.session_parallel))],
        StillDropping.about: [(model, "_score", _answers(_dropping))],
        WrongSign.about: [(model, "_prepare", _negated(model._prepare))],
        TargetIsWrong.about: [(plain, "cross_entropy", _all_wrong(plain.cross_entropy))],
    }
    places[NeverReset.about].append((model, "_score", _one_long_session(model._score)))
    if mistake not in places:
        raise ValueError(f"planted({mistake!r}): choose one of {', '.join(map(repr, places))}.")
    with ExitStack() as patches:
        for place in places[mistake]:
            patches.enter_context(mock.patch.object(*place))
        yield


def _no_first(sound: Callable) -> Callable:
    def batches(sessions, batch_size):
        for lane, clicked, target, first in sound(sessions, batch_size):
            yield lane, clicked, target, np.zeros_like(first)

    return batches


def _one_long_session(sound: Callable) -> Callable:
    def score(self, sessions, rows):
        return sound(self, replace(sessions, offsets=sessions.offsets[[0, -1]]), rows)

    return score


def _negated(sound: Callable) -> Callable:
    def prepare(self, popularity):
        sound(self, popularity)
        self._log_expected = -self._log_expected

    return prepare


def _all_wrong(sound: Callable) -> Callable:
    def loss(scores, is_wrong, log_expected):
        everything = is_wrong.new_ones(is_wrong.shape)
        return sound(scores, everything.fill_diagonal_(False), log_expected)

    return loss


def _answers(states: Callable) -> Callable:
    """Scores from the states that `states` makes of each block of 32 prefixes."""

    def score(self, sessions, rows):
        begins = sessions.offsets[sessions.session_of_click[rows]]
        prefixes = [sessions.items[a : b + 1] for a, b in zip(begins, rows, strict=True)]
        blocks = [states(self, prefixes[i : i + 32]) for i in range(0, len(prefixes), 32)]
        return np.concatenate(blocks) @ self.item_embedding_.T + self.item_bias_

    return score


def _left_padded(model, prefixes: list[np.ndarray]) -> np.ndarray:
    longest = max(map(len, prefixes))
    return _read(model, [np.r_[np.full(longest - len(p), -1), p][: len(p)] for p in prefixes])


def _dropping(model, prefixes: list[np.ndarray]) -> np.ndarray:
    states, p = _read(model, prefixes), model.dropout_p_hidden
    keep = np.random.default_rng(len(prefixes[0])).random(states.shape) >= p
    return states * keep.astype(np.float32) / np.float32(1 - p)


def _read(model, rows: list[np.ndarray]) -> np.ndarray:
    """States after all entries of each row, (n_rows, n_units); -1 is padding, a vector of zeros."""
    import torch

    cell = torch.nn.GRUCell(model.layers[0], model.layers[0])
    cell.load_state_dict({name: torch.tensor(getattr(model, f"{name}_")) for name in cell.state_dict()})
    hidden = torch.zeros(len(rows), model.layers[0])
    items = np.concatenate([model.item_embedding_, np.zeros((1, model.layers[0]), np.float32)])
    with torch.no_grad():
        for place in range(max(map(len, rows))):
            here = torch.tensor([len(row) > place for row in rows])
            clicked = [row[place] for row in rows if len(row) > place]
            hidden[here] = cell(torch.tensor(items[clicked]), hidden[here])
    return hidden.numpy()
