"""Every error gan-tune raises on purpose.

GanTuneError                one line for the user; the command line exits with code 2
├── FaultsError             several faults of one input, each `place: rule: what was given`
│   ├── SpaceError          a search-space file, or what `--set` made of it
│   └── ConfigError         a trial config
├── DataError               a data set is missing, damaged or does not fit
├── StorageError            the folder or URI that holds a search cannot be used
│   ├── SearchLockedError   another command works on this search
│   └── StudyError          another process keeps the study's database locked; exit code 1
├── TrackingError           the MLflow tracking server or store does not answer
├── ClusterError            the Ray cluster does not answer or lacks what a trial needs
├── DeviceError             torch finds no such device here
├── ModelNotFoundError      no registered model of that name
├── SearchNotFoundError     no search of that name
├── OutputError             an output file exists, or cannot be written
└── CheckpointError         a checkpoint is incomplete or of another trial
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

__all__ = [
    "CheckpointError",
    "ClusterError",
    "ConfigError",
    "DataError",
    "DeviceError",
    "Fault",
    "FaultsError",
    "GanTuneError",
    "ModelNotFoundError",
    "OutputError",
    "SearchLockedError",
    "SearchNotFoundError",
    "SpaceError",
    "StorageError",
    "StudyError",
    "TrackingError",
]


class GanTuneError(Exception):
    """An expected error: its text is all a user needs to put things right.

    ``exit_code`` is the command line's: 2 for input that must change, 1 where the same command may
    succeed later.
    """

    exit_code: ClassVar[int] = 2


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with an input.

    ``path`` is the dotted place (empty for the whole input), ``rule`` what must hold, ``given``
    the ``repr`` of what was found there (empty where nothing was given).
    """

    path: str
    rule: str
    given: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.path, self.rule, self.given) if part)


class FaultsError(GanTuneError):
    """All faults of one input, raised once. ``source`` names the input (a file name)."""

    def __init__(self, faults: Sequence[Fault], source: str = "") -> None:
        self.faults = tuple(dict.fromkeys(faults))
        self.source = source
        prefix = f"{source}: " if source else ""
        super().__init__("\n".join(f"{prefix}{fault}" for fault in self.faults))

    def __reduce__(self) -> tuple[type[FaultsError], tuple[tuple[Fault, ...], str]]:
        return type(self), (self.faults, self.source)  # survives the way from a Ray worker


class SpaceError(FaultsError):
    """A search space that cannot be used, with every fault found in it."""


class ConfigError(FaultsError):
    """A trial config that cannot be trained, with every fault found in it."""


class DataError(GanTuneError):
    """A data set is missing, damaged or does not fit what was asked."""


class StorageError(GanTuneError):
    """The folder or URI that holds a search cannot be read or written."""


class SearchLockedError(StorageError):
    """Another live command works on this search."""


class StudyError(StorageError):
    """Another process keeps the database with a search's study locked; it may go on later."""

    exit_code = 1


class TrackingError(GanTuneError):
    """The MLflow tracking server or store does not answer."""


class ClusterError(GanTuneError):
    """The Ray cluster does not answer, or has not the resources one trial needs."""


class DeviceError(GanTuneError):
    """Torch finds no such device here."""


class ModelNotFoundError(GanTuneError):
    """No registered model of that name; the message lists the existing ones."""


class SearchNotFoundError(GanTuneError):
    """No search of that name; the message lists the existing ones."""


class OutputError(GanTuneError):
    """An output file exists already, or cannot be written."""


class CheckpointError(GanTuneError):
    """A checkpoint is incomplete, or belongs to another trial config."""
