"""What a person is told about a list: its heading, why a book is in it, and the names of the models."""

from __future__ import annotations

#: What each source is called, where a person reads it.
MODELS = {
    "session": "session model (GRU4Rec)",
    "neighbours": "similar visits (session-kNN)",
    "user": "reader's taste (ALS)",
    "popular": "popularity",
    "trending": "views of the last day",
    "related": "related books (item-kNN)",
    "together": "bought together",
}

#: What was done, in the past tense.
WORDS = {
    "view": "looked at",
    "cart": "put in the basket",
    "remove": "took out",
    "purchase": "bought",
    "return": "sent back",
}

_WHY = {
    "session": "Visits that went the way of this one often go on to this book.",
    "neighbours": "Past visits that resemble this one went on to this book.",
    "user": "It resembles what this reader chose before.",
    "popular": "Many people read it. This visit had no part in that.",
    "trending": "Many visitors looked at it in the last day. This visit had no part in that.",
    "related": "Looked at in the same visits.",
    "together": "Often bought in one go.",
}
#: The click that goes best with a book: looked up in the item-to-item weights, not what the model computed.
_CLICK = {"related": " With “{}”.", "together": " With “{}”."}
_ANY_CLICK = " Of what you looked at, “{}” goes with it best."


def model_name(source: str) -> str:
    """Return what a person calls a source; an unknown one keeps its name."""
    return MODELS.get(source, source)


def reason(recommended, title_of=None) -> list[str]:
    """Return two sentences: why this book is listed, and which model proposed it.

    Parameters
    ----------
    recommended : Recommended
    title_of : callable, optional
        Takes an item id and returns its title, or None where it is unknown.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> reason(SimpleNamespace(source="session", because=7), {7: "Emma"}.get)
    ['Visits that went the way of this one often go on to this book. Of what you looked at, “Emma” goes with it best.',
     'Proposed by: session model (GRU4Rec).']
    """
    text = _WHY.get(recommended.source, "One of the models proposed it.")
    title = title_of(recommended.because) if title_of and recommended.because is not None else None
    if title and recommended.source not in ("popular", "trending", "user"):
        text += _CLICK.get(recommended.source, _ANY_CLICK).format(title)
    return [text, f"Proposed by: {model_name(recommended.source)}."]


def heading(answer, clicks: int, reader=None) -> tuple[str, str]:
    """Return title and explanation of the list "for you".

    A list that owes nothing to the visitor is not called "for you": it says that it is what is popular, and why.
    """
    if answer.source != "popular":
        return "For you now", answer.why
    if answer.degraded:
        return "Popular now", answer.why
    if clicks:
        return "Popular now", "The models know nothing about what you looked at, so this is what most people read."
    if reader is not None:
        return "Popular now", f"Nothing is known of reader {reader} yet, so this is what most people read."
    return "Popular now", "You have not looked at a book yet, so this is what most people read."
