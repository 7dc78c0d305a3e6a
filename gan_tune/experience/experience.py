"""The file that holds what was learnt: for each family of networks a portfolio of settings.

JSON, with nothing that names data, places or people: a task is known by a digest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from gan_tune.atomic_file import write_whole
from gan_tune.config import Flag, Number, Settings, Text, Whole
from gan_tune.errors import ExperienceError
from gan_tune.experience.portfolio import MOST
from gan_tune.regular_file import why_not_regular
from gan_tune.words.wording import faults_of, shown

__all__ = [
    "VERSION",
    "Entry",
    "Experience",
    "Standing",
    "Task",
    "read_experience",
    "shipped",
    "task_digest",
]

VERSION = 1
"""Version of the file. Increase it if an older gan-tune would misread a newer file."""

KIND = "gan-tune experience"
LARGEST = 1_000_000
SHIPPED = Path(__file__).parent / "shipped.json"

Plain = str | Annotated[Whole, Field(ge=-(2**63), lt=2**63)] | Number | Flag | None


class Task(Settings):
    """Data on which settings were tried.

    Attributes:
        objective, mode: what was improved.
        settings: how many were tried.
        steps: the longest trial.
        floor: the objective of real samples against real ones; None if it is not known.
        about: what the data are, where that is no secret.
    """

    objective: Text
    mode: Literal["min", "max"]
    settings: Whole = Field(ge=1)
    steps: Whole = Field(ge=1)
    floor: Number | None = None
    about: Text = ""


class Standing(Settings):
    """How a setting did on one task: its rank, of which 1 is the best, and its best value.

    `gan-tune learn` leaves the value out.
    """

    value: Number | None = None
    rank: Whole = Field(ge=1)


class Entry(Settings):
    """A setting of a portfolio, with its standing on the tasks where it was tried."""

    setting: dict[str, Plain | list[Plain]]
    tasks: dict[str, Standing]


class Experience(Settings):
    """What was learnt: family → portfolio, the most useful setting first.

    Attributes:
        source: how it was made.
        tasks: digest → task.
    """

    kind: Literal["gan-tune experience"] = "gan-tune experience"
    version: Literal[1] = 1
    source: Text
    tasks: dict[str, Task]
    portfolios: dict[str, tuple[Entry, ...]] = Field(description="Family → settings")

    def portfolio(self, family: str) -> tuple[Entry, ...]:
        """The settings for a family; none if nothing was learnt of it."""
        return self.portfolios.get(family, ())[:MOST]

    def write(self, path: Path) -> None:
        """Write the file, a line for each setting.

        Raises:
            OSError: it cannot be written.
        """
        write_whole(path, _text(self.model_dump(mode="json")).encode())


def read_experience(path: Path) -> Experience:
    """The experience in a file.

    Raises:
        ExperienceError: it cannot be read, or is of another kind or version; one line.
    """
    if rule := why_not_regular(path):
        raise ExperienceError(f"{path}: {rule}")
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
    except OSError as error:
        raise ExperienceError(f"{path}: must be a file of experience: {error.strerror}") from None
    if len(raw) > LARGEST:
        raise ExperienceError(f"{path}: must have at most {LARGEST:,} bytes: it has more")
    try:
        tree = json.loads(raw)
    except (ValueError, RecursionError):
        raise ExperienceError(f"{path}: must be JSON, as `gan-tune learn` writes it") from None
    kind = tree.get("kind") if isinstance(tree, Mapping) else None
    if kind != KIND:
        raise ExperienceError(f"{path}: kind must be {KIND!r}: {shown(kind)}")
    if tree.get("version") != VERSION:
        rule = f"version must be {VERSION}; make it again with this version's `gan-tune learn`"
        raise ExperienceError(f"{path}: {rule}: {shown(tree.get('version'))}")
    try:
        return Experience.model_validate(tree)
    except ValidationError as error:
        fault, *more = faults_of(error, model=Experience)
        rest = f" (and {len(more)} more)" if more else ""
        raise ExperienceError(f"{path}: {fault}{rest}") from None


def task_digest(*parts: str) -> str:
    """16 hex digits that identify a task, without telling what it is."""
    return hashlib.sha256("/".join(parts).encode()).hexdigest()[:16]


@cache
def shipped() -> Experience:
    """The experience that comes with gan-tune."""
    return read_experience(SHIPPED)


def _text(tree: dict[str, Any]) -> str:
    """JSON of which the tasks and settings can be read, and compared line by line."""
    portfolios = tree.pop("portfolios")
    head = json.dumps(tree, indent=1)[:-2]
    families = [
        f"  {json.dumps(family)}: [\n"
        + ",\n".join(f"   {json.dumps(entry)}" for entry in entries)
        + "\n  ]"
        for family, entries in portfolios.items()
    ]
    return head + ',\n "portfolios": {\n' + ",\n".join(families) + "\n }\n}\n"
