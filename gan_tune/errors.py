"""Every error gan-tune raises on purpose.

GanTuneError                base of all; the command line prints it and exits with code 2
├── FaultsError             all faults of one input, each as `place: rule: what was given`
│   ├── SpaceError          a search space is invalid, as its file or after `--set`
│   └── ConfigError         a trial config is invalid
├── DataError               a data set is missing, damaged or does not fit
├── ExperienceError         a file of experience cannot be read
├── StorageError            the folder or URI that holds a search cannot be used
│   ├── SearchLockedError   another command works on this search
│   ├── SearchLostError     another command has taken this search over; exit code 1
│   ├── OutageError         the storage or the study failed for too long; exit code 1
│   └── StudyError          another process keeps the study's database locked; exit code 1
├── TrackingError           the MLflow tracking server or store does not answer
│   └── RecordError         a search's record cannot be made there, or from there
├── ClusterError            the Ray cluster does not answer or lacks what a trial needs
│   ├── UnfitNodesError     no node can train a trial now; exit code 1
│   ├── JobLostError        the cluster has lost a submitted search; exit code 1
│   └── ConnectionLostError the cluster does not answer now, though it is there; exit code 1
├── NothingTrainsError      every trial of a search is cut off by the same; exit code 1
├── DeviceError             torch has no such device on this machine
├── ModelNotFoundError      no registered model of that name
├── SearchNotFoundError     no search of that name
├── OutputError             an output file exists, or cannot be written
└── CheckpointError         a checkpoint is incomplete or of another trial
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from gan_tune.outgoing import HIDDEN, is_secret, masked, outgoing_line

__all__ = [
    "CheckpointError",
    "ClusterError",
    "ConfigError",
    "ConnectionLostError",
    "DataError",
    "DeviceError",
    "ExperienceError",
    "Fault",
    "FaultsError",
    "GanTuneError",
    "JobLostError",
    "ModelNotFoundError",
    "NothingTrainsError",
    "OutageError",
    "OutputError",
    "RecordError",
    "SearchLockedError",
    "SearchLostError",
    "SearchNotFoundError",
    "SpaceError",
    "StorageError",
    "StudyError",
    "TrackingError",
    "UnfitNodesError",
]


LONGEST = 4_000
"""Characters of a line that an error has at most."""


class GanTuneError(Exception):
    """Base class of all errors that gan-tune raises on purpose; the text says what to change.

    For example::

        try:
            result = gan_tune.search("digits")
        except gan_tune.GanTuneError as error:
            print(error)

    The text has no secrets and no control characters (:mod:`gan_tune.outgoing`), so it may be
    printed and logged. It has a line for each of ``lines``: whatever name or argument stands in one
    begins no other, and what is too long is left out of its middle. ``exit_code`` is that of the
    command line: 2 if the input must change, 1 if the same command may succeed later.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, *lines: str) -> None:
        super().__init__(*(_shortened(outgoing_line(line)) for line in lines))

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


def _shortened(line: str) -> str:
    half = LONGEST // 2
    return line if len(line) <= LONGEST else f"{line[: half - 3]} … {line[-half:]}"


MOST_LETTERS = 500
"""Letters of a place that a fault repeats: a key may have any number."""


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
        place = self.path
        if len(place) > MOST_LETTERS:
            place = f"{masked(place)[: MOST_LETTERS - 3]}..."  # half a password would not be known
        return ": ".join(part for part in (place, self.rule, self.safe_given) if part)

    @property
    def safe_given(self) -> str:
        """What was found there, hidden if it is a secret."""
        return HIDDEN if self.given and self._is_secret else self.given

    @property
    def _is_secret(self) -> bool:
        return any(is_secret(step) for step in self.path.split("."))


MOST_TOLD = 100
"""Faults that the text of an error names at most; ``faults`` holds them all."""


class FaultsError(GanTuneError):
    """All faults of one input, raised once. ``source`` names the input (a file name)."""

    def __init__(self, faults: Sequence[Fault], source: str = "") -> None:
        self.faults = tuple(dict.fromkeys(faults))
        self.source = source
        prefix = f"{source}: " if source else ""
        more = len(self.faults) - MOST_TOLD
        rest = [f"and {more:,} more"] if more > 0 else []
        told = [*self.faults[:MOST_TOLD], *rest]
        super().__init__(*(f"{prefix}{fault}" for fault in told))

    def __reduce__(self) -> tuple[type[FaultsError], tuple[tuple[Fault, ...], str]]:
        return type(self), (self.faults, self.source)  # so that Ray can pickle it


class SpaceError(FaultsError):
    """A search space that cannot be used, with every fault found in it."""


class ConfigError(FaultsError):
    """A trial config that cannot be trained, with every fault found in it."""


class DataError(GanTuneError):
    """A data set is missing, damaged or does not fit what was asked."""


class ExperienceError(GanTuneError):
    """A file of experience is missing, damaged, or of another kind or version."""


class StorageError(GanTuneError):
    """The folder or URI that holds a search cannot be read or written."""


class SearchLockedError(StorageError):
    """Another live command works on this search."""


class SearchLostError(StorageError):
    """Another command has taken over the search on which this one worked."""

    exit_code = 1


class OutageError(StorageError):
    """The storage or the study does not work, for too long if waited for; it may later."""

    exit_code = 1


class StudyError(StorageError):
    """Another process keeps the database of a search's study locked; try again later."""

    exit_code = 1


class TrackingError(GanTuneError):
    """The MLflow tracking server or store does not answer as it should."""


class TrackingAwayError(TrackingError):
    """The MLflow server or its database takes no connection, or is silent; it may come back."""

    exit_code = 1


class RecordError(TrackingError):
    """A search's record belongs to another search, or there is nothing to make it from."""


class ClusterError(GanTuneError):
    """The Ray cluster does not answer, or lacks the resources that one trial needs."""


class ClusterAwayError(ClusterError):
    """Nothing takes a connection at the cluster's address, or it is silent; it may come back."""

    exit_code = 1


class UnfitNodesError(ClusterError):
    """No node can train a trial now; the same command goes on when one can."""

    exit_code = 1


class JobLostError(ClusterError):
    """A job ended although its command had not; the same command goes on with its search."""

    exit_code = 1


class ConnectionLostError(ClusterError):
    """The cluster does not answer now, though it is there; what it runs may go on."""

    exit_code = 1


class NothingTrainsError(GanTuneError):
    """Every trial of a search is cut off by the same, which is no setting's own doing."""

    exit_code = 1


class DeviceError(GanTuneError):
    """Torch has no such device on this machine."""


class ModelNotFoundError(GanTuneError):
    """No registered model of that name; the message lists the existing ones."""


class SearchNotFoundError(GanTuneError):
    """No search of that name; the message lists the existing ones."""


class OutputError(GanTuneError):
    """An output file exists already, or cannot be written."""


class CheckpointError(GanTuneError):
    """A checkpoint is incomplete, or belongs to another trial config."""
