"""The request to register a search's champion, kept in the search's folder until it is done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from gan_tune.errors import StorageError
from gan_tune.regular_file import real_path
from gan_tune.storage.places import CHAMPION_MODEL, REGISTRATION
from gan_tune.storage.storage import Storage
from gan_tune.storage.stored import read_stored

__all__ = [
    "Candidate",
    "CardDetails",
    "DataTold",
    "SeedTold",
    "fetch_model",
    "keep_candidate",
    "kept_candidate",
]


@dataclass(frozen=True)
class DataTold:
    """The data on which it was trained: name, digest, and the size of each split."""

    name: str
    digest: str
    splits: Mapping[str, int]


@dataclass(frozen=True)
class SeedTold:
    """One of its seeds: the trial, its steps and its best value."""

    trial: str
    seed: int
    value: int | float | None
    steps: int


@dataclass(frozen=True)
class CardDetails:
    """What a version's card tells beside its tags. Older versions kept less of it, or nothing.

    Attributes:
        data: on which it was trained.
        settings: what the search decided, by dimension.
        spread: sample deviation of its value; None for fewer than two seeds.
        by_seed: all its seeds.
        floors: of the selection split, by metric.
        faults: what speaks against it, a sentence each.
        has_picture, has_curve: whether its folder has a picture of samples and of its curves.
    """

    data: DataTold | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    spread: int | float | None = None
    by_seed: Sequence[SeedTold] = ()
    floors: Mapping[str, int | float | None] = field(default_factory=dict)
    faults: Sequence[str] = ()
    has_picture: bool = False
    has_curve: bool = False


@dataclass(frozen=True)
class Candidate:
    """What is to be registered; also the content of `record/registration.json`.

    Attributes:
        model: name of the registered model.
        mode: whether less or more of its value is better.
        trial: whose run trained it; None: no search's.
        tags: of the version, with its value and the digest of its weights.
        files: of its folder, by their paths in it.
        details: what its card tells beside the tags.
    """

    model: str
    mode: Literal["min", "max"]
    trial: str | None
    tags: Mapping[str, str]
    files: Sequence[str] = ()
    details: CardDetails = CardDetails()


def keep_candidate(home: Storage, candidate: Candidate, folder: Path) -> None:
    """Keep a candidate and the folder of its exported model in a search's folder.

    The request is written last, so that a kill leaves none without its model.

    Raises:
        StorageError: the search's folder cannot be written.
    """
    home.delete(REGISTRATION)
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    for name in files:
        home.write(f"{CHAMPION_MODEL}/{name}", (folder / name).read_bytes())
    home.write_json(REGISTRATION, asdict(candidate) | {"files": files})


def kept_candidate(home: Storage) -> Candidate | None:
    """The candidate in a search's folder; None if there is none.

    Raises:
        StorageError: it cannot be read, or is damaged.
    """
    return read_stored(home, REGISTRATION, Candidate)


def fetch_model(home: Storage, candidate: Candidate, folder: Path) -> None:
    """Write a candidate's exported model into a new folder.

    Raises:
        StorageError: a file of it is missing, or cannot be read.
    """
    for name in candidate.files:
        content = home.read(f"{CHAMPION_MODEL}/{name}")
        target = folder / name
        if content is None or not real_path(target).is_relative_to(real_path(folder)):
            place = home.readable_path(f"{CHAMPION_MODEL}/{name}")
            raise StorageError(f"storage: must be a file of the champion, but is missing: {place}")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
