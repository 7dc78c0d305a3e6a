"""Reads tags of the record by their types: others may write to the record, too."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from gan_tune.errors import TrackingError
from gan_tune.outgoing import outgoing_line
from gan_tune.record.tags import Tag
from gan_tune.storage.trial_name import TrialName
from gan_tune.words.wording import first_line

__all__ = ["SearchTags", "TrialTags", "VersionTags", "each_sound", "read_tags", "warn_once"]

logger = logging.getLogger("gan_tune")

Entry = TypeVar("Entry")
Answer = TypeVar("Answer")
Tags = TypeVar("Tags", bound=BaseModel)


class SearchTags(BaseModel):
    """The tags of a search's run without which it cannot be shown."""

    search: str = Field(alias=Tag.SEARCH, min_length=1)
    metric: str = Field(alias=Tag.OBJECTIVE, min_length=1)
    mode: Literal["min", "max"] = Field(alias=Tag.MODE)


def _trial_name(text: str) -> str:
    TrialName.parse(text)
    return text


class TrialTags(BaseModel):
    """The tags of a trial's run without which it cannot be shown."""

    trial: Annotated[str, AfterValidator(_trial_name)] = Field(alias=Tag.TRIAL)
    setting: int = Field(alias=Tag.SETTING, ge=0, lt=2**31)
    replicate: int = Field(alias=Tag.REPLICATE, ge=0, lt=2**31)
    kind: Literal["search", "confirmation"] = Field(alias=Tag.KIND)


class VersionTags(BaseModel):
    """The tags of a model's version by which it is compared with others."""

    value: float | None = Field(None, alias=Tag.VALUE)
    confirmed_seeds: int = Field(0, alias=Tag.CONFIRMED_SEEDS, ge=0, lt=2**31)
    comparable: str | None = Field(None, alias=Tag.COMPARABLE)
    mode: Literal["min", "max"] = Field("min", alias=Tag.MODE)


def read_tags(kind: type[Tags], tags: Mapping[str, str], label: str) -> Tags:
    """The tags of an entry by their types.

    Raises:
        TrackingError: one is missing or says something else; ``label`` names the entry.
    """
    try:
        return kind.model_validate(tags)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        tag = str(first["loc"][0])
        given = f", not {tags[tag]!r:.60}" if tag in tags else ""
        rule = outgoing_line(f"{first['msg']}{given}")
        raise TrackingError(f"MLflow: {label}: tag {tag}: {rule}") from None


def each_sound(
    entries: Iterable[Entry], read: Callable[[Entry], Answer], label: Callable[[Entry], str]
) -> list[tuple[Entry, Answer]]:
    """Each entry with what is read of it; one that is damaged is left out with a warning."""
    sound = []
    for entry in entries:
        try:
            sound.append((entry, read(entry)))
        except TrackingError as error:
            warn_once(f"left out: {error}")
        # As for the year 300,000; and others may write into MLflow's database, too.
        except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
            warn_once(f"left out: MLflow: {label(entry)}: {first_line(error)}")
    return sound


@lru_cache(maxsize=1024)
def warn_once(text: str) -> None:
    """Warn of a damaged entry; a command may read it several times."""
    logger.warning("%s", text)
