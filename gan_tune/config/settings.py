"""A block of settings: a frozen, checked set of plain values with a default for each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.types import Strict

from gan_tune.errors import ConfigError, Fault
from gan_tune.words.limits import MAX_SEED

__all__ = [
    "MOST_REPORTS",
    "MOST_STEPS",
    "Flag",
    "Number",
    "Seed",
    "Settings",
    "Text",
    "Whole",
    "block_fields",
    "check_seed",
]

Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict()]
Flag = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
"""Plain values without conversion: text is not a number, and `true` is not 1."""

Seed = Annotated[int, Strict(), Field(ge=0, le=MAX_SEED)]
"""What every generator of random numbers takes as a seed."""


def check_seed(seed: int) -> None:
    """Check a seed that comes from outside of a config.

    Raises:
        ConfigError: it is no whole number from 0 to 2^63 - 1.
    """
    whole = isinstance(seed, int) and not isinstance(seed, bool)
    if not (whole and 0 <= seed <= MAX_SEED):
        rule = f"must be a whole number from 0 to {MAX_SEED}"
        raise ConfigError([Fault("seed", rule, repr(seed))])


MOST_STEPS = 10**9
"""Generator steps of a trial: years, and counted exactly by all that counts them."""
MOST_REPORTS = 100_000
"""Reports of a trial, each of which is kept in memory and in files."""


class Settings(BaseModel):
    """A block of settings. It allows no unknown keys and no infinite numbers.

    ``none`` are the values for which the text `none` may stand in place of the block; None: for
    none at all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    none: ClassVar[Mapping[str, Any] | None] = None

    @model_validator(mode="before")
    @classmethod
    def _of_none(cls, given: Any) -> Any:
        return cls.none if given == "none" and cls.none is not None else given


@cache
def block_fields(model: type[BaseModel]) -> Mapping[str, type[Settings]]:
    """Field of ``model`` → its block of settings (or list of such blocks)."""
    found = {name: _block_in(field.annotation) for name, field in model.model_fields.items()}
    return MappingProxyType({name: block for name, block in found.items() if block is not None})


def _block_in(annotation: Any) -> type[Settings] | None:
    item = get_args(annotation)[0] if get_origin(annotation) is tuple else annotation
    return item if inspect.isclass(item) and issubclass(item, Settings) else None
