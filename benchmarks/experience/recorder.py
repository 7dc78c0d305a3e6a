"""Trains the settings of a task one after the other, in this process and without Ray."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate
from math import isfinite
from pathlib import Path

from benchmarks.curves import setting_at
from benchmarks.experience import recording
from benchmarks.experience.recording import Recording, Run, Setting
from benchmarks.experience.tasks import TASKS
from benchmarks.machine import machine
from gan_tune.config import CollapseRule, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.metrics import Judge, build_judge
from gan_tune.metrics.features import build_extractor
from gan_tune.parts.trial_data import dataset_of
from gan_tune.searching.study.opening import open_study
from gan_tune.space import SearchSpace

SEEDS = {"search": 0, "sobol": 1_000_000, "carried": 2_000_000, "again": 3_000_000}
"""Seed of the first run of each kind; the others count on from there."""


class Recorder:
    """Records runs of one task; what is there already is not trained again."""

    def __init__(self, task: str, folder: Path = recording.RECORDINGS) -> None:
        self.task, self.folder = task, folder
        self.space = TASKS[task].space()

    @cached_property
    def _config(self) -> TrialConfig:
        return self.space.config(_lowest(self.space), seed=0)

    @cached_property
    def dataset(self) -> Dataset:
        """The task's data."""
        return dataset_of(self._config.data)

    @cached_property
    def judge(self) -> Judge:
        """The judge of all its runs, on the selection split, as a search has it."""
        extractor = build_extractor(self.dataset, unlabelled="patches")
        return build_judge(self.dataset, "selection", extractor=extractor)

    def begin(self) -> None:
        """Make or mend the file, after which runs can be appended."""
        space = self.space
        metric = space.objective.metric
        head = {
            "command": f"python benchmarks/learn_experience.py record {self.task}",
            "machine": machine(),
            "things": TASKS[self.task].things,
            "base": TASKS[self.task].base,
            "data": self.dataset.digest,
            "metric": self.judge.versions[metric],
            "floor": _shortened(self.judge.floor[metric]),
            "space": json.loads(json.dumps(space.tree)),
        }
        recording.begin(self.task, head, self.folder)

    @property
    def recorded(self) -> Recording:
        """What there is, the newest run included."""
        found = recording.read(self.task, self.folder)
        assert found is not None, "begin() comes first"
        return found

    def train(self, how: str, number: int, setting: Setting, source: str = "") -> Run:
        """Train a setting to its end, whatever its variety, and append it."""
        from gan_tune.gan.training import train

        seed = SEEDS[how] + number
        config = self.space.config(setting, seed=seed)
        config = config.model_copy(update={"collapse": CollapseRule(variety=0), "patience": 0})
        began = time.process_time()
        reports = list(train(config, self.dataset, self.judge))
        run = Run(
            how=how,
            number=number,
            seed=seed,
            setting=dict(setting),
            outcome=str(reports[-1].outcome),
            values=[_shortened(report.value) for report in reports],
            seconds=round(time.process_time() - began, 2),
            source=source,
        )
        recording.append(self.task, run, self.folder)
        return run

    # ---------------------------------------------------------------- what is trained

    def search(self, trials: int) -> Iterator[Run]:
        """A search without experience and without a scheduler, up to so many trials.

        What is recorded of it is told again to a new study, which then goes on as before.
        """
        known = self.recorded.by("search")
        if len(known) >= trials:
            return
        with tempfile.TemporaryDirectory() as folder:
            study = open_study(Path(folder) / "study.journal", self.space)
            for number in range(trials):
                job = study.ask()
                setting = study.assignment(number)
                if number < len(known):
                    run = known[number]
                    assert run.setting == setting, f"{self.task}: another setting {number}"
                else:
                    run = self.train("search", number, setting)
                    yield run
                finite = [value for value in run.values if value is not None]
                steps = job.config.report_steps
                for step, best in zip(steps, accumulate(finite, min), strict=False):
                    study.report(number, step, best)
                is_sound = run.outcome == "completed"
                study.tell(number, "completed" if is_sound else "diverged", run.best)

    def sobol(self, count: int) -> Iterator[Run]:
        """The first settings of a scrambled Sobol sequence (Owen 1998) over the base's ranges.

        The tasks of a family share them.
        """
        known = {run.number for run in self.recorded.by("sobol")}
        names = {dimension.name for dimension in self.space.dimensions()}
        for number, setting in enumerate(sobol_settings(TASKS[self.task].base, count)):
            if number not in known:
                own = {name: value for name, value in setting.items() if name in names}
                yield self.train("sobol", number, own)

    def carried(self, settings: Sequence[tuple[str, Setting]]) -> Iterator[Run]:
        """Settings of other tasks, each with its task's name."""
        there = self.recorded
        known = {json.dumps(run.setting, sort_keys=True) for run in there.runs}
        number = len(there.by("carried"))
        for source, setting in settings:
            if json.dumps(dict(setting), sort_keys=True) not in known:
                yield self.train("carried", number, setting, source)
                number += 1


def sobol_settings(base: str, count: int) -> list[Setting]:
    """The first settings of the sequence that a family's tasks share."""
    from scipy.stats import qmc

    space = next(task for task in TASKS.values() if task.base == base).space()
    sequence = qmc.Sobol(len(space.dimensions()), scramble=True, rng=0)
    points = sequence.random_base2(max(0, (count - 1).bit_length()))
    return [setting_at(space, point) for point in points[:count]]


def _lowest(space: SearchSpace) -> Setting:
    return setting_at(space, [0.0] * len(space.dimensions()))


def _shortened(value: float | None) -> float | None:
    """Five digits, to keep the file small; None where not finite."""
    return float(f"{value:.5g}") if value is not None and isfinite(value) else None
