"""Proposes a search for a data set: its space, planned for this machine and the time given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from gan_tune.parts.all_parts import catalogue
from gan_tune.space import SearchSpace
from gan_tune.starting.machine import gpu_share, has_gpu, slots_here, step_seconds
from gan_tune.starting.plan import LEAST_STEPS, Plan, plan
from gan_tune.starting.seen_data import Seen
from gan_tune.starting.space_text import space_text
from gan_tune.starting.spaces_by_kind import FEW_PICTURES, KindOfData, kind_of

__all__ = ["USUAL_MINUTES", "Proposal", "largest_side", "propose"]

USUAL_MINUTES = 10.0
EVALUATIONS = 10
SIDES = ((0, 32), (120, 64), (1_200, 128))
"""Minutes × trials at a time → largest side in pixels of a folder's pictures, on CPU cores."""
SIDES_ON_A_GPU = ((0, 64), (240, 128))


@dataclass(frozen=True, eq=False)
class Proposal:
    """A search that is proposed for a data set.

    Attributes:
        seen: what was seen of the data.
        kind: which kind of data they are.
        plan: the lengths and sizes for the time given.
        tree: the space file as plain values.
    """

    seen: Seen
    kind: KindOfData
    plan: Plan
    tree: Mapping[str, Any]

    @cached_property
    def text(self) -> str:
        """The space file, commented."""
        return space_text(self.tree, [self.paragraph, *self._notes()])

    def _notes(self) -> Iterator[str]:
        yield (
            f"Its ranges are those of the shipped space {self.kind.source}. After a change, "
            "`gan-tune validate FILE` checks it and `gan-tune show FILE` lists its ranges."
        )

    @property
    def paragraph(self) -> str:
        """What was seen and what is proposed, for people."""
        return " ".join([*self.seen.sentences(), *self._choices()])

    def _choices(self) -> Iterator[str]:
        plan = self.plan
        step = 1000 * plan.step_seconds
        yield (
            f"Proposed: {self.kind.networks} of width {plan.width}, trials of {plan.steps:,} steps "
            f"({step:.2g} ms each, measured here), {plan.slots} at a time, for "
            f"{plan.minutes:g} min."
        )
        if "augment" in self.tree["trial"]:
            yield (
                f"Fewer than {FEW_PICTURES:,} pictures: augmenting them for the discriminator "
                "(DiffAugment) is tried."
            )
        if self.tree["resources"]["gpu"] not in (0, "auto") and not has_gpu():
            yield "There is no GPU here: steps were timed on the CPU, and are too few for a GPU."
        if plan.is_short:
            yield (
                f"A trial should see {LEAST_STEPS:,} steps, and there is no time for so many: give "
                "it more --minutes."
            )


def largest_side(minutes: float, gpu: float | None) -> int:
    """The largest side in pixels of pictures for which the time is enough."""
    gpu = gpu_share() if gpu is None else gpu
    sides, time = SIDES_ON_A_GPU if gpu else SIDES, minutes * slots_here(1, gpu)
    return next(side for least, side in reversed(sides) if time >= least)


def propose(
    seen: Seen, name: str, *, minutes: float, gpu: float | None, slots: int | None = None
) -> Proposal:
    """Propose a search; trains some steps to measure how long they take.

    Args:
        seen: the data.
        name: of the space.
        minutes: for the whole search, > 0.
        gpu: GPUs of a trial; 0: it trains on a core; None: `auto`, planned with a quarter where
            this machine has one.
        slots: trials at a time; default as many as this machine takes.
    """
    kind, given = kind_of(seen), "auto" if gpu is None else _plain(gpu)
    gpu = gpu_share() if gpu is None else gpu
    there = slots_here(1, gpu)
    made = plan(
        partial(_step_seconds, seen, kind, gpu=gpu > 0 and has_gpu()),
        kind.widths,
        minutes=minutes,
        slots=min(slots or there, there),
        most_steps=kind.most_steps,
    )
    return Proposal(seen, kind, made, _tree(seen, kind, made, name, given))


def _tree(seen: Seen, kind: KindOfData, made: Plan, name: str, gpu: float | str) -> dict[str, Any]:
    starts = kind.starts(seen, made.width)
    return {
        "name": name,
        "objective": kind.objective(),
        "budget": {
            "steps": made.steps,
            "evaluations": min(EVALUATIONS, made.steps),
            "minutes": _plain(made.minutes),
        },
        "search": {"sampler": "tpe", "scheduler": "asha", "seed": 0},
        "confirm": {"top": 1, "seeds": 2, "share": 0.25},
        "resources": {"cpu": 1, "gpu": gpu},
        "trial": kind.trial(seen, made.width),
        "start_from": starts,
    }


def _plain(number: float) -> float:
    """A whole number without its decimal point."""
    return int(number) if number == int(number) else number


def _step_seconds(seen: Seen, kind: KindOfData, width: int, *, gpu: bool) -> float:
    """The time of a step of the first setting at a width."""
    shortest = Plan(width, 0.0, steps=1_000, slots=1, minutes=1)
    tree = _tree(seen, kind, shortest, "timed", 0)
    space = SearchSpace.load(tree, catalogue(), check_data=False)
    return step_seconds(space.config(space.starts[0], seed=0), seen.dataset, gpu=gpu)
