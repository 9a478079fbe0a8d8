"""What the JSON routes take and give, as the OpenAPI description shows it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from recsys_lab.serve.event_fields import check_key

MOST_EVENTS = 500
INT64 = 2**63 - 1


def _key(value):
    """An id as it can be stored; JSON does not tell 7 from 7.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    try:
        return check_key(value, "")
    except ValueError:
        raise PydanticCustomError("key", KEY) from None


KEY = "Input should be a whole number of at most 64 bits, or 1 to 64 printable characters"
KEY_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": -INT64 - 1, "maximum": INT64},
        {"type": "string", "minLength": 1, "maxLength": 64, "description": "Printable characters."},
    ]
}
Key = Annotated[int | str, PlainValidator(_key), WithJsonSchema(KEY_SCHEMA)]
SessionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]


class EventIn(BaseModel):
    """One thing a visitor did."""

    model_config = ConfigDict(extra="forbid")
    session_id: SessionId
    item_id: Key
    event: Literal["view", "cart", "remove", "purchase", "return"] = "view"
    timestamp: AwareDatetime | None = Field(None, description="When it happened (ISO 8601 with offset); default: now.")
    event_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")] | None = Field(
        None, description="Sent again under the same id, an event counts once."
    )
    user_id: Key | None = None


Batch = Annotated[list[EventIn], Field(min_length=1, max_length=MOST_EVENTS)]
#: What POST /events takes; told apart by what it is, so that errors speak of one form only.
Body = Annotated[
    Annotated[EventIn, Tag("one")] | Annotated[Batch, Tag("batch")],
    Discriminator(lambda body: "batch" if isinstance(body, list) else "one"),
]


class Outcomes(BaseModel):
    """What became of each event, in their order."""

    outcomes: list[Literal["stored", "duplicate", "conflict", "late", "future", "full", "unknown_item"]]


class ItemOut(BaseModel):
    """An item."""

    item_id: int | str
    title: str
    author: str
    genre: str
    price: float | None
    year: int | None
    available: bool


class Listed(BaseModel):
    """One place of a list."""

    item_id: int | str
    title: str | None
    source: str
    because: int | str | None


class ListOut(BaseModel):
    """A list, and how it came about."""

    items: list[Listed]
    source: str
    degraded: bool
    why: str
    milliseconds: float
    version: str


class Page(BaseModel):
    """An item with what goes with it."""

    item: ItemOut
    related: ListOut
    bought_together: ListOut


class Found(BaseModel):
    """What a search found."""

    items: list[ItemOut]


class Past(BaseModel):
    """One thing that a reader did."""

    item_id: int | str
    event: str
    timestamp: datetime


class Reader(BaseModel):
    """What is known of a reader."""

    user_id: int | str
    segment: int | None
    genres: list[str]
    history: list[Past]


class State(BaseModel):
    """Whether all is well."""

    status: str
    version: str
