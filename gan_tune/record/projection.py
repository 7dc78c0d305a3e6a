"""The search's folder → MLflow runs: the record as a function of what is stored.

Each call compares what MLflow has with what the folder has, and writes the difference. So a failed
call can be repeated, a record can be completed by a later command, and made again in another store.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection

from mlflow import MlflowClient
from mlflow.entities import Run

from gan_tune.errors import StorageError
from gan_tune.record import search_run
from gan_tune.record.mlflow_internals import PARENT_RUN
from gan_tune.record.mlflow_store import client, connect, search_runs, tagged
from gan_tune.record.spool import SearchEnding, SearchEntry
from gan_tune.record.tags import Tag
from gan_tune.record.trial_run import RunPlace, TrialRun, end_as_interrupted
from gan_tune.record.trial_state import TrialState, now_ms, state_of
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders

__all__ = ["Projection"]

logger = logging.getLogger("gan_tune")


class Projection:
    """The record of one search in one MLflow store. Not thread-safe: one thread uses it.

    All methods raise MlflowException and OSError as MLflow does; call :meth:`forget` then, and
    repeat. They raise StorageError if the folder cannot be read.

    Args:
        uri: the store; a SQLite store is created if there is none.
        home: the search's folder.
        entry: of the search.
        beside_others: whether it may be recorded in an experiment that holds another search of its
            name. If not, :meth:`open` raises a RecordError.
    """

    def __init__(
        self, uri: str, home: Storage, entry: SearchEntry, *, beside_others: bool = True
    ) -> None:
        self._uri, self._home, self._entry = uri, home, entry
        self._beside_others = beside_others
        self._folders = TrialFolders(home)
        self._opened_client: MlflowClient | None = None
        self._place: RunPlace | None = None
        self._runs: dict[str, TrialRun] = {}
        self._doubtful: set[str] = set()
        self._has_ended = False

    @property
    def is_open(self) -> bool:
        """Whether the search's run is known."""
        return self._place is not None

    @property
    def parent_run_id(self) -> str | None:
        """The search's run; None before :meth:`open`."""
        return self._place.parent_run_id if self._place else None

    def run_id(self, trial: str) -> str | None:
        """The run of a trial; None if it has none yet."""
        run = self._runs.get(trial)
        return run.run_id if run else None

    def open(self, ending: SearchEnding | None = None, *, goes_on: bool = True) -> None:
        """Create or find the experiment and the search's run, and read which trials have runs.

        The search's run is RUNNING then, unless no command works on the search and the run shows
        that already.

        Args:
            ending: how the last command ended; None: it was killed.
            goes_on: whether a command works on the search.

        Raises:
            TrackingError: no such store.
            RecordError: another search has this one's place in it.
        """
        connect(self._uri)
        entry, mlflow_client = self._entry, client(self._uri)
        self._opened_client = mlflow_client
        experiment_id = search_run.open_experiment(mlflow_client, self._uri, entry.experiment)
        parent = search_run.find_search_run(
            mlflow_client, self._uri, experiment_id, entry, beside_others=self._beside_others
        )
        self._has_ended = parent is not None and search_run.has_ended(parent, ending)
        self._has_ended &= not goes_on
        if parent is None or not self._has_ended:
            parent = search_run.open_search_run(mlflow_client, experiment_id, entry, parent)
        self._place = RunPlace(
            experiment_id,
            parent.info.run_id,
            entry.search,
            entry.code_version,
            entry.metric,
            entry.searched,
        )
        self._runs, self._doubtful = {}, set()
        for trial, runs in self._recorded().items():
            self._runs[trial] = TrialRun.found(mlflow_client, runs[0])

    def forget(self, trial: str | None = None) -> None:
        """Look up a trial's run before it is used again, or (None) everything."""
        if trial is None:
            self._place = None
        else:
            self._doubtful.add(trial)

    def write_figures(self, trial: str, *, runs: bool, waits: bool = False) -> bool:
        """Write a trial's params, figures and tags; ``runs`` as in :func:`state_of`.

        One that ``waits`` for its first worker gets no run. Returns whether its grids and its end
        are to be written, too.
        """
        state = self._state(trial, runs=runs)
        if state is None or (waits and not state.steps and trial not in self._runs):
            return False
        run = self._run_of(state)
        if run.is_complete(state):
            return False
        run.write_figures(state, self._folders[trial], self._opened)
        return True

    def write_rest(self, trial: str, *, runs: bool) -> None:
        """Write a trial's grids, and end its run if the trial has ended."""
        state = self._state(trial, runs=runs)
        if state is not None:
            run = self._run_of(state)
            run.write_grids(state, self._folders[trial])
            run.end(state, self._folders[trial])

    def finish(self, ending: SearchEnding | None, *, without: Collection[str] = ()) -> list[str]:
        """End the search's run; returns the trials that must be written again before that.

        They are those whose runs are not as they should be, for instance since somebody deleted
        them. A trial's second run, which a server may have created after its answer was given up,
        is deleted.

        Args:
            ending: how the last command ended; None: it was killed.
            without: trials that cannot be recorded.
        """
        incomplete = self._incomplete(without)
        if not incomplete and not self._has_ended:
            parent = self._opened.parent_run_id
            search_run.log_ending(self._client, parent, self._home, self._entry, ending)
        return incomplete

    def trials(self) -> list[str]:
        """The names of all trials that have a folder."""
        return self._folders.names()

    def has_ended(self, trial: str) -> bool:
        """Whether a trial has ended for good; of a damaged folder nothing is known."""
        try:
            ending = self._folders[trial].ending()
        except StorageError:
            return True
        return ending is not None and ending.is_final

    def _incomplete(self, without: Collection[str]) -> list[str]:
        recorded = self._recorded()
        for runs in recorded.values():
            for double in runs[1:]:
                self._client.delete_run(double.info.run_id)
        missing = []
        for trial in self._folders.names():
            state = None if trial in without else self._state(trial, runs=False)
            if state is None:
                continue
            runs = recorded.pop(trial, [])
            if not runs or not TrialRun.found(self._client, runs[0]).is_complete(state):
                self._doubtful.add(trial)
                missing.append(trial)
        for run in (runs[0] for runs in recorded.values() if runs[0].info.status == "RUNNING"):
            end_as_interrupted(self._client, run, now_ms())
        return missing

    def _state(self, trial: str, *, runs: bool) -> TrialState | None:
        return state_of(self._folders[trial], trial, runs=runs)

    def _run_of(self, state: TrialState) -> TrialRun:
        """A trial's run, looked up if there was doubt about it, and created if there is none."""
        trial, folder = state.name, self._folders[state.name]
        if trial in self._doubtful:
            self._runs.pop(trial, None)
            found = self._recorded(trial).get(trial)
            if found:
                self._runs[trial] = TrialRun.found(self._client, found[0])
            self._doubtful.discard(trial)
        if trial in self._runs and self._runs[trial].is_of_a_failed_try(state):
            self._client.delete_run(self._runs.pop(trial).run_id)
        if trial not in self._runs:
            self._doubtful.add(trial)  # until the answer has come
            self._runs[trial] = TrialRun.create(self._client, self._opened, state, folder)
            self._doubtful.discard(trial)
        return self._runs[trial]

    def _recorded(self, trial: str | None = None) -> dict[str, list[Run]]:
        """The runs by trial, the oldest first; of one trial, or of all."""
        rule = tagged(PARENT_RUN, self._opened.parent_run_id)
        if trial is not None:
            rule += f" and {tagged(Tag.TRIAL, trial)}"
        found: dict[str, list[Run]] = defaultdict(list)
        for run in search_runs(self._client, [self._opened.experiment_id], rule):
            if (name := run.data.tags.get(Tag.TRIAL)) is not None:
                found[name].append(run)
        return found

    @property
    def _client(self) -> MlflowClient:
        assert self._opened_client is not None, "open() comes first"
        return self._opened_client

    @property
    def _opened(self) -> RunPlace:
        assert self._place is not None, "open() comes first"
        return self._place
