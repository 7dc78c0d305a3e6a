"""What MLflow is to show of a trial, as its folder has it now."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gan_tune.record.tags import Tag
from gan_tune.storage.trial_folder import TrialFolder
from gan_tune.storage.trial_name import Kind, TrialName, is_trial_name
from gan_tune.storage.trial_records import Ending, TrialDescription

__all__ = ["TrialState", "now_ms", "state_of"]


@dataclass(frozen=True)
class TrialState:
    """A trial as it stands.

    Attributes:
        described: which trial it is.
        kind: whether it belongs to the search or to the confirmation.
        steps: the steps that have a report, ascending.
        ending: how it ended; None while it runs.
    """

    described: TrialDescription
    kind: Kind
    steps: Sequence[int]
    ending: Ending | None

    @property
    def name(self) -> str:
        """The trial's name."""
        return self.described.trial

    @property
    def origin_tags(self) -> dict[str, str]:
        """Tags for where its setting comes from, for the trial from whose weights it continues, and
        for all settings before it."""
        lineage, origin = self.described.lineage, self.described.origin
        tags = {Tag.ORIGIN: origin} if origin else {}
        if not lineage:
            return tags
        phases = ", ".join(f"{phase.trial} until {phase.until}" for phase in lineage)
        tags[Tag.LINEAGE] = phases
        if self.kind == "search":
            tags |= {Tag.PARENT: lineage[-1].trial, Tag.PARENT_STEP: str(lineage[-1].until)}
        return tags

    def best(self, metric: str) -> Mapping[str, float]:
        """Its best report's values, by metric; ``metric`` is the first objective."""
        ending = self.ending
        if ending is None or ending.value is None:
            return {}
        return {metric: ending.value, **ending.further}


def state_of(folder: TrialFolder, name: str, *, runs: bool) -> TrialState | None:
    """The state of a trial; None if the folder is none of a search's trial.

    Args:
        folder: of the trial.
        name: of the trial.
        runs: whether it runs now, or waits for its turn in the search that works on it. A trial
            that has no ending and does not run was interrupted.

    Raises:
        StorageError: the storage cannot be used, or a file is damaged.
    """
    described = folder.description() if is_trial_name(name) else None
    if described is None:
        return None
    ending = None if runs else folder.ending() or _interrupted(folder)
    return TrialState(described, TrialName.parse(name).kind, folder.report_steps(), ending)


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def _interrupted(folder: TrialFolder) -> Ending:
    last = folder.last_report()
    if last is None:
        return Ending("interrupted", None, 0)
    return Ending("interrupted", last.best, last.step, symptoms=last.symptoms)
