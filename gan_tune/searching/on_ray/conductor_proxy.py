"""What Tune's callbacks may ask of the conductor: no error of the storage passes through Tune."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from gan_tune.errors import GanTuneError, NothingTrainsError, StorageError
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor, Next
from gan_tune.searching.on_ray.keeping import StoppedTrials, StopSign
from gan_tune.searching.rules.faults import Fault
from gan_tune.storage.places import STOP
from gan_tune.storage.trial_records import Result

__all__ = ["ConductorProxy"]

Answer = TypeVar("Answer")
Substitute = TypeVar("Substitute")


GRACE_SECONDS = 1.0
"""How long after the end of the time trials may still report by themselves."""


class ConductorProxy:
    """Passes calls from Tune to the conductor, and holds a storage error back until the run ends.

    If the study or a folder can no longer be used, the run ends as after Ctrl-C, and the error is
    raised then. Raised inside a callback, it would be buried in Tune's traceback or log.
    """

    def __init__(self, conductor: Conductor) -> None:
        self._conductor = conductor
        self._lost: StorageError | None = None
        self._halted: GanTuneError | None = None
        self._sign, self._asks = StopSign(conductor.storage), False
        self._stopped = StoppedTrials(conductor.storage)

    def next_job(self) -> Job | Next:
        """The job to start now, or what to do instead."""
        return self._answer(self._conductor.next_job, Next.DONE)

    def reported(self, name: str, result: Result) -> bool:
        """Pass on a report; returns whether the trial stops now.

        One that `gan-tune stop NAME TRIAL` has named is pruned, as if the scheduler had done it.
        """
        if self._stopped.take(name) and result.outcome is None:
            result = replace(result, outcome="pruned")
        return self._answer(lambda: self._conductor.reported(name, result), True)

    def lost(self, name: str, fault: Fault) -> None:
        """Pass on what cut a trial off; the run ends if it is the same for all."""
        self._answer(lambda: self._conductor.lost(name, fault), None)
        if (reason := self._conductor.lost_trials.same_everywhere) is not None:
            self.halt(
                NothingTrainsError(
                    "no trial has reported, and all are cut off by the same; correct it, and the "
                    f"same command goes on with the search: {reason}"
                )
            )

    @property
    def slots(self) -> int:
        """How many trials run at a time."""
        return self._conductor.slots

    def stop_requested(self) -> bool:
        """Whether the search is to end, for now: by Ctrl-C or `gan-tune stop`, or as it is lost."""
        conductor = self._conductor
        if (refused := conductor.storage.patience.refused) is not None:
            self._lost = self._lost or refused
        asked = self.cannot_store or (not self._asks and self._sign.is_seen())
        conductor.stop_requested = conductor.stop_requested or asked
        return conductor.stop_requested

    @property
    def is_out_of_time(self) -> bool:
        """Whether the time of the search is used up, although no report may have told so."""
        return self._conductor.time.left < -GRACE_SECONDS

    @property
    def cannot_store(self) -> bool:
        """Whether an error of the storage is held back."""
        return self._lost is not None

    def halt(self, error: GanTuneError) -> None:
        """End the run, and raise this error then."""
        self._conductor.stop_requested = True
        self._halted = self._halted or error

    def ask_workers_to_stop(self) -> None:
        """Have the workers store their trials. They hear of it as of `gan-tune stop`."""
        self._asks = True
        self._answer(lambda: self._conductor.storage.write_json(STOP, {}), None)

    def forget_stop(self) -> None:
        """Remove a wish to end that was fulfilled."""
        self._answer(lambda: self._conductor.storage.delete(STOP), None)

    def interrupt_all(self) -> None:
        """End running trials, or raise the error that prevents it."""
        if self._lost is not None:
            raise self._lost
        self._conductor.interrupt_all()
        if self._halted is not None:
            raise self._halted

    def _answer(self, ask: Callable[[], Answer], otherwise: Substitute) -> Answer | Substitute:
        if self._lost is None:
            try:
                return ask()
            except StorageError as error:
                self._lost, self._conductor.stop_requested = error, True
        return otherwise
