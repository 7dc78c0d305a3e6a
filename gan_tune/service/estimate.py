"""`gan-tune search --dry-run`: how long a search would take, and what a trial needs."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from functools import partial

from gan_tune.errors import Fault, SpaceError
from gan_tune.gan.device import accelerator, accelerators, total_memory, trial_device
from gan_tune.searching.leading.foresight import Course, Pace
from gan_tune.service.foreseeing import foresee_settings, too_few
from gan_tune.service.gpu_share import CONTEXT_BYTES, Room, share_of
from gan_tune.service.space_and_setting import first_setting
from gan_tune.service.trial_cost import TrialCost, measure
from gan_tune.space import SearchSpace
from gan_tune.starting.machine import slots_here
from gan_tune.words.readable import gibibytes


@dataclass(frozen=True)
class Estimate:
    """The estimated time of a search, measured on its first setting.

    Attributes:
        trials, steps, evaluations: the budget; each seed of a setting counts as a trial. For a
            population only its members count, since forks continue trained weights. ``trials`` is
            None if only the time ends the search; ``steps`` are chosen for it if the space leaves
            them open.
        settings: how many settings can be judged in the time; None without a limit.
        too_few: what to change if these are too few; empty otherwise.
        confirmations: largest number of confirming trials.
        slots: assumed number of trials at a time.
        step_seconds, evaluation_seconds, memory_bytes, gpu_memory_bytes: of one trial alone on this
            machine, as in :class:`gan_tune.service.trial_cost.TrialCost`.
        gpu: GPUs of one trial, in which `auto` is resolved for this machine.
        gpu_note: a sentence on that; empty where there is nothing to say.
    """

    trials: int | None
    steps: int
    evaluations: int
    confirmations: int
    slots: int
    step_seconds: float
    evaluation_seconds: float
    memory_bytes: int
    gpu_memory_bytes: int = 0
    gpu: float = 0
    gpu_note: str = ""
    settings: int | None = None
    too_few: str = ""

    @property
    def trial_seconds(self) -> float:
        """The time of one full trial."""
        return self.steps * self.step_seconds + self._evaluation_seconds

    @property
    def evaluation_share(self) -> float:
        """The share of a trial's time that evaluation takes, in 0..1."""
        return self._evaluation_seconds / self.trial_seconds

    @property
    def seconds(self) -> float | None:
        """The time of all trials at full length, ``slots`` at a time. Pruning reduces it.

        None if only time ends the search.
        """
        if self.trials is None:
            return None
        rounds = -(-self.trials // self.slots) + -(-self.confirmations // self.slots)
        return rounds * self.trial_seconds

    @property
    def _evaluation_seconds(self) -> float:
        return self.evaluations * self.evaluation_seconds


def estimate(space: SearchSpace, *, max_concurrent: int | None = None) -> Estimate:
    """Time a few steps of the first setting here, and multiply. Starts and writes nothing.

    The assumed number of trials at a time is what this machine's cores (and GPUs) allow, at most
    ``max_concurrent``.

    Raises:
        SpaceError: so many trials share a GPU that their memory cannot fit.
        GanTuneError: the trial's process was killed.
    """
    gpu, note, cost = _on_this_machine(space)
    confirm, most = space.confirm, space.budget.most_trials
    slots = min(slots_here(space.resources.cpu, gpu), max_concurrent or sys.maxsize)
    foreseen, few = None, None
    if space.budget.minutes is not None:
        foreseen = foresee_settings(space, Pace(cost.step_seconds, cost.evaluation_seconds), slots)
        few = too_few(space, foreseen)
        space = space.with_length(foreseen.steps)
    course = Course.of(space)
    return Estimate(
        trials=course.members or (None if math.isinf(most) else int(most) * space.search.seeds),
        steps=space.steps,
        evaluations=min(space.budget.evaluations, space.steps),
        confirmations=(confirm.top + 1) * confirm.seeds if confirm.top else 0,
        slots=slots,
        settings=None
        if foreseen is None
        else int(min(foreseen.settings, space.distinct_settings, most)),
        too_few=few or "",
        gpu=gpu,
        gpu_note=note,
        **vars(cost),
    )


def _on_this_machine(space: SearchSpace) -> tuple[float, str, TrialCost]:
    """The GPUs of a trial here, a sentence on them, and what a trial costs with them."""
    asked, setting = space.resources.gpu, first_setting(space)
    device = trial_device(gpu=asked != 0)
    measured = partial(measure, setting, threads=max(1, int(space.resources.cpu)))
    cost = measured(device=device)
    if asked != "auto":
        if device != "cpu":
            check_gpu_share(space, cost.gpu_memory_bytes)
        idle = asked == 0 and accelerator() is not None
        return asked, "resources.gpu: 0, beside an idle GPU" if idle else "", cost
    if device == "cpu":
        return 0.0, "", cost
    on_cpu = measured(device="cpu")
    room = Room(os.cpu_count() or 1, accelerators(), total_memory())
    share = share_of([room], space.resources.cpu, cost, on_cpu)
    note = f"resources.gpu: auto: {share.gpu:g} ({share.why})"
    return share.gpu, note, cost if share.gpu else on_cpu


def check_gpu_share(space: SearchSpace, needed: int) -> None:
    """Refuse a share of a GPU at which the trials' memory, ``needed`` bytes each, cannot fit.

    Raises:
        SpaceError: it cannot.
    """
    share, there = space.resources.gpus, total_memory()
    together = max(1, int(1 / share))
    if together * (needed + CONTEXT_BYTES) <= there:
        return
    fitting = there // (needed + CONTEXT_BYTES)
    rule = (
        f"{together} trials would share a GPU of {gibibytes(there)}, and the first setting takes "
        f"{gibibytes(needed)}: must be at least {math.ceil(1000 / fitting) / 1000:g}"
        if fitting
        else f"the first setting takes {gibibytes(needed)} of a GPU of {gibibytes(there)}: it must "
        "be smaller"
    )
    raise SpaceError([Fault("resources.gpu", rule, f"{share:g}")], space.name)
