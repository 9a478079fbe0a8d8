"""What the retriever answers: lists that say how they came about, and what is known of a reader."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Recommended:
    """One place of a list.

    Attributes
    ----------
    item_id : int or str
    source : str
        Which model put it there: "session", "neighbours", "user", "popular", "related", "together" or "trending".
    score : float
        By which it was ranked; comparable within one list only.
    because : int, str or None
        The click that speaks most for it.
    """

    item_id: int | str
    source: str
    score: float
    because: int | str | None = None


@dataclass(frozen=True)
class Answer:
    """A list, and how it came about.

    Attributes
    ----------
    items : tuple of Recommended
        Best first.
    source : str
        What led: the source of the strongest model that answered; "popular" where none did.
    degraded : bool
        Whether a model that should have answered did not: it failed, was too slow or is missing.
    why : str
        One sentence for a person.
    milliseconds : float
    timings : dict of str to float
        Milliseconds of each model that was asked.
    version : str
        Of the bundle.
    """

    items: tuple[Recommended, ...] = ()
    source: str = "popular"
    degraded: bool = False
    why: str = ""
    milliseconds: float = 0.0
    timings: dict[str, float] = field(default_factory=dict)
    version: str = ""

    @property
    def ids(self) -> tuple:
        """Item ids, best first."""
        return tuple(row.item_id for row in self.items)


@dataclass(frozen=True)
class UserCard:
    """What is known of a reader: `history` (newest first: item_id, event, timestamp), `segment`, its `genres`."""

    user_id: int | str
    history: tuple
    segment: int | None = None
    genres: tuple[str, ...] = ()
