"""The proof of an exercise: `proof_labNN.py` has those of one lab, `test_exercises.py` puts them to the test."""

from typing import NamedTuple


class Proof(NamedTuple):
    """Correct solutions written differently from the reference, and wrong answers with a piece of their diagnosis.

    The wrong ones are what people really give, written differently from the lab's own known mistakes.
    """

    right: list
    wrong: list[tuple[object, str]]
