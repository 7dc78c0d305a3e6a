"""Evaluation: the share of a trial's time that judging its generator takes, in each shipped space.

    python benchmarks/evaluation.py [SPACE ...] [--settings 1] [--slots 2] [--limit 0.1]

Each measured setting trains 100 steps with two reports in a process of its own, on as many cores as
the space gives a trial; the second half is timed. Counts of samples and reports are the space's
own, and the length of a trial is what a search of its minutes would choose for this pace and
`--slots`. With more than one setting, the further ones are drawn from the space. Run it on an idle
machine. Stated are

    steps     length of a trial
    step      milliseconds of one step of training
    report    milliseconds of one report's evaluation: samples, features, metrics, picture
    share     of a full trial's time that evaluation takes
    memory    peak resident set of the trial's process, MiB

It exits with 0 if no first setting's share exceeds the limit.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator

from gan_tune import service
from gan_tune.config import TrialConfig
from gan_tune.searching.leading.foresight import Pace
from gan_tune.service.foreseeing import foresee_settings
from gan_tune.service.optuna_stand_ins import Draws
from gan_tune.service.trial_cost import TrialCost, measure
from gan_tune.space import SearchSpace, shipped_spaces

LIMIT = 0.1


def settings(space: SearchSpace, count: int) -> Iterator[TrialConfig]:
    """The first setting, then drawn ones."""
    yield service.first_setting(space)
    for seed in range(1, count):
        yield space.sample(Draws(seed), seed=seed)


def planned(space: SearchSpace, cost: TrialCost, slots: int) -> SearchSpace:
    """The space with the length that a search would choose for its first setting's pace."""
    if not space.has_open_length:
        return space
    pace = Pace(cost.step_seconds, cost.evaluation_seconds)
    return space.with_length(foresee_settings(space, pace, slots).steps)


def share(config: TrialConfig, cost: TrialCost) -> float:
    """Evaluation's part of a full trial's time, in 0..1."""
    evaluation = len(config.report_steps) * cost.evaluation_seconds
    return evaluation / (evaluation + config.steps * cost.step_seconds)


def row(name: str, config: TrialConfig, cost: TrialCost) -> str:
    return (
        f"| `{name}` | {config.steps:,} | {1000 * cost.step_seconds:.2f} | "
        f"{1000 * cost.evaluation_seconds:.0f} | {share(config, cost):.1%} | "
        f"{cost.memory_bytes / 2**20:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("spaces", nargs="*", default=shipped_spaces())
    parser.add_argument("--settings", type=int, default=1, help="measured settings of each space")
    parser.add_argument("--slots", type=int, default=2, help="of the search that is planned")
    parser.add_argument("--limit", type=float, default=LIMIT, help="at most this share")
    options = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores\n")
    print("| space | steps | step (ms) | report (ms) | share | memory (MiB) |")
    print("|---|---|---|---|---|---|", flush=True)
    exceeded = []
    for name in options.spaces:
        space = service.load_space(name)
        for number, config in enumerate(settings(space, options.settings)):
            cost = measure(config, threads=max(1, int(space.resources.cpu)), device="cpu")
            space = planned(space, cost, options.slots) if number == 0 else space
            config = config.model_copy(update={"steps": space.steps})
            print(row(name if number == 0 else f"{name} drawn {number}", config, cost), flush=True)
            if number == 0 and share(config, cost) > options.limit:
                exceeded.append(f"{name}: must be at most {options.limit:.0%}")
    print("".join(f"{line}\n" for line in exceeded), end="")
    sys.exit(bool(exceeded))


if __name__ == "__main__":
    main()
