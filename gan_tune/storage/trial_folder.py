"""The layout of a trial's folder. No other file contains a path below `trials/`.

The files of the trial NAME:

    trials/NAME/trial.json              which trial it is, with its config
    trials/NAME/reports/STEP.json       written by the worker before the driver hears of the report
    trials/NAME/grids/STEP.png          samples from the same noise at each report
    trials/NAME/checkpoint.safetensors  the last stored state; after its end only if it completed
    trials/NAME/ready/STEP.safetensors  states from which forks may begin; deleted when unneeded
    trials/NAME/inherited.safetensors   the state with which a fork begins
    trials/NAME/outcome.json            how the trial ended; absent before its end
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from gan_tune.errors import StorageError
from gan_tune.storage.stored import read_stored
from gan_tune.storage.trial_records import Ending, Result, TrialDescription

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

__all__ = ["CHECKPOINT", "TrialFolder", "TrialFolders"]

TRIALS = "trials"
DESCRIPTION = "trial.json"
REPORTS, REPORT_ENDING = "reports", ".json"
GRIDS, GRID_ENDING = "grids", ".png"
CHECKPOINT = "checkpoint.safetensors"
READY, READY_ENDING = "ready", ".safetensors"
INHERITED = "inherited.safetensors"
OUTCOME = "outcome.json"

Record = TypeVar("Record", TrialDescription, Result, Ending)


class TrialFolder:
    """The files of one trial. Absent files are read as None; deleting them does nothing.

    Every method raises StorageError if the storage cannot be used or a file is damaged.

    Args:
        files: the storage rooted at the trial's folder.
    """

    def __init__(self, files: Storage) -> None:
        self._files = files

    # ---------------------------------------------------------------- description

    def describe(self, description: TrialDescription) -> None:
        """Write `trial.json` of a search's trial."""
        stored = asdict(description)
        if not description.origin:
            del stored["origin"]
        self._files.write_json(DESCRIPTION, stored)

    def description(self) -> TrialDescription | None:
        """What `trial.json` says of a search's trial."""
        return self._record(TrialDescription, DESCRIPTION)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `trial.json` of a trial outside of any search: the tree of its config alone."""
        self._files.write_json(DESCRIPTION, {"config": config})

    def config(self) -> dict[str, Any] | None:
        """The config in `trial.json` as a tree, whether or not the trial belongs to a search."""
        stored = self._files.read_json(DESCRIPTION)
        if stored is None:
            return None
        if not isinstance(stored, dict) or not isinstance(stored.get("config"), dict):
            path = self._files.readable_path(DESCRIPTION)
            raise StorageError(f"storage: {path} must hold the config of a trial")
        config: dict[str, Any] = stored["config"]
        return config

    # ---------------------------------------------------------------- reports

    def write_report(self, result: Result) -> None:
        """Write a report of a search's trial."""
        content = json.dumps(asdict(result)).encode()
        self._files.write(_report_at(result.step), content)

    def write_lone_report(self, step: int, figures: Mapping[str, Any]) -> None:
        """Write a report of a trial outside a search."""
        self._files.write_json(_report_at(step), figures)

    def report(self, step: int) -> Result | None:
        """The report of a step."""
        return self._record(Result, _report_at(step))

    def report_steps(self) -> list[int]:
        """The steps that have a report, ascending."""
        return self._steps(REPORTS, REPORT_ENDING)

    def reports(self) -> list[Result]:
        """All reports, by ascending step."""
        found = map(self.report, self.report_steps())
        return [result for result in found if result is not None]

    def last_report(self) -> Result | None:
        """The report of the last step."""
        steps = self.report_steps()
        return self.report(steps[-1]) if steps else None

    # ---------------------------------------------------------------- pictures

    def write_grid(self, step: int, png: bytes) -> None:
        """Write the picture of a report."""
        self._files.write(_grid_at(step), png)

    def grid(self, step: int) -> bytes | None:
        """The picture of a report, as PNG."""
        return self._files.read(_grid_at(step))

    def grid_steps(self) -> list[int]:
        """The steps that have a picture, ascending."""
        return self._steps(GRIDS, GRID_ENDING)

    # ---------------------------------------------------------------- weights

    def write_checkpoint(self, state: bytes) -> None:
        """Write the state from which the trial can be resumed."""
        self._files.write(CHECKPOINT, state)

    def checkpoint(self) -> bytes | None:
        """The state from which the trial can be resumed."""
        return self._files.read(CHECKPOINT)

    def delete_checkpoint(self) -> None:
        """Delete the checkpoint."""
        self._files.delete(CHECKPOINT)

    def write_ready(self, step: int, state: bytes) -> None:
        """Write the state of a ready point, from which forks may begin."""
        self._files.write(_ready_at(step), state)

    def ready(self, step: int) -> bytes | None:
        """The state of a ready point."""
        return self._files.read(_ready_at(step))

    def delete_ready(self, step: int) -> None:
        """Delete the state of a ready point."""
        self._files.delete(_ready_at(step))

    def write_inherited(self, state: bytes) -> None:
        """Write the state with which a fork begins."""
        self._files.write(INHERITED, state)

    def inherited(self) -> bytes | None:
        """The state with which a fork begins."""
        return self._files.read(INHERITED)

    def delete_inherited(self) -> None:
        """Delete the state with which a fork began."""
        self._files.delete(INHERITED)

    @property
    def inherited_path(self) -> str:
        """The place of the inherited state, for messages."""
        return self._files.readable_path(INHERITED)

    # ---------------------------------------------------------------- the end

    def write_ending(self, ending: Ending) -> None:
        """Write how the trial ended."""
        self._files.write_json(OUTCOME, asdict(ending))

    def close(self, ending: Ending) -> None:
        """Write how the trial ended, and delete the checkpoint unless the trial is completed."""
        self.write_ending(ending)
        if ending.outcome != "completed":
            self.delete_checkpoint()

    def ending(self) -> Ending | None:
        """How the trial ended."""
        return self._record(Ending, OUTCOME)

    def clear(self) -> None:
        """Delete all but the description, so that the trial begins again."""
        for step in self.report_steps():
            self._files.delete(_report_at(step))
        for step in self.grid_steps():
            self._files.delete(_grid_at(step))
        for step in self._steps(READY, READY_ENDING):
            self.delete_ready(step)
        self.delete_checkpoint()
        self._files.delete(OUTCOME)  # the last, so that what is half deleted still has ended

    # ---------------------------------------------------------------- reading

    def _steps(self, folder: str, ending: str) -> list[int]:
        found = (name.removesuffix(ending) for name in self._files.names(folder))
        # Others may have put files there, too.
        return sorted(int(name) for name in found if re.fullmatch(r"\d{1,15}", name, re.ASCII))

    def _record(self, kind: type[Record], path: str) -> Record | None:
        return read_stored(self._files, path, kind)


class TrialFolders:
    """The folders of a search's trials, by the trials' names.

    Args:
        search: the storage rooted at the search's folder.
    """

    def __init__(self, search: Storage) -> None:
        self._search = search

    def __getitem__(self, name: str) -> TrialFolder:
        """A trial's folder, which may be empty or not exist yet."""
        return TrialFolder(self._search.below(TRIALS, name))

    def names(self) -> list[str]:
        """Names of the trials that have a folder, sorted."""
        return self._search.names(TRIALS)

    def grid_path(self, name: str, step: int | str) -> str:
        """The path of a picture below the search's folder; ``step`` may stand for any."""
        return f"{TRIALS}/{name}/{_grid_at(step)}"

    @property
    def path(self) -> str:
        """The place of the trials' folders, for messages."""
        return self._search.readable_path(TRIALS)


def _report_at(step: int) -> str:
    return f"{REPORTS}/{step}{REPORT_ENDING}"


def _grid_at(step: int | str) -> str:
    return f"{GRIDS}/{step}{GRID_ENDING}"


def _ready_at(step: int) -> str:
    return f"{READY}/{step}{READY_ENDING}"
