"""The GAN loop: ``train(config, dataset, judge)`` yields a :class:`Report` at each evaluation.

It does not depend on Ray or MLflow. To stop a trial, stop iterating. All random numbers come from
the trial's own generators. So equal configs give equal reports, bit for bit, and a run resumed from
a checkpoint equals one without interruption.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from gan_tune.config import CollapseRule, DivergenceRule, Objective, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.gan.building import build_game
from gan_tune.gan.determinism import kernels
from gan_tune.gan.device import exact_convolutions
from gan_tune.gan.game import Game
from gan_tune.gan.precision import resolved
from gan_tune.gan.progress import Outcome, Progress, is_sound
from gan_tune.gan.randomness import global_generators, seeded_globals
from gan_tune.gan.state import load_game, scalars_of, tensors_of
from gan_tune.gan.symptoms import symptoms, vitals_of
from gan_tune.metrics.models import Models
from gan_tune.samples import pictures
from gan_tune.words.wording import first_line

__all__ = ["Keeper", "Outcome", "Report", "Scorer", "Training", "build_training", "train"]

CHECK_EVERY = 50
"""Steps between two checks for divergence; each check waits for the device once."""
GRID_SAMPLES = 64


class Scorer(Protocol):
    """Scores samples in data space; see :mod:`gan_tune.metrics`."""

    @property
    def count(self) -> int:
        """How many samples it needs."""
        ...

    @property
    def noise(self) -> Mapping[str, float]:
        """How much each metric varies between draws of samples."""
        ...

    def __call__(self, samples: Tensor, *, models: Models) -> Mapping[str, float]: ...


class Keeper(Protocol):
    """Keeps the state of training between two reports; asked every :data:`CHECK_EVERY` steps."""

    def is_due(self) -> bool:
        """Whether the state is to be kept now."""
        ...

    def keep(self, state: Callable[[], bytes]) -> None:
        """Keep the state that ``state()`` returns; an exception raised here ends training."""
        ...


@dataclass(frozen=True)
class Report:
    """The result of one evaluation during training.

    Attributes:
        step: generator steps done so far.
        scalars: the judge's metrics and the training's own figures, finite or not.
        value: the objective now; None if it is not finite.
        best: the best objective so far, None before there is one.
        improved: whether ``value`` is the new best.
        outcome: how the trial ended, None while it continues.
        symptoms: names from :data:`gan_tune.gan.symptoms.SYMPTOMS` that apply so far.
        grid: uint8 picture [H, W, 3] of samples from fixed noise.
        training_seconds, evaluation_seconds: time spent since the last report.
    """

    step: int
    scalars: Mapping[str, float]
    value: float | None
    best: float | None
    improved: bool
    outcome: Outcome | None
    symptoms: tuple[str, ...]
    grid: Tensor
    training_seconds: float
    evaluation_seconds: float
    _state: Callable[[], bytes]

    def checkpoint(self) -> bytes:
        """The complete state of training, to resume from; valid until training continues."""
        return self._state()

    def save(self, folder: Path) -> Path:
        """Write :meth:`checkpoint` into a folder, completely or not at all; returns the file."""
        return checkpoint.write(self._state(), folder)


def train(
    config: TrialConfig,
    dataset: Dataset,
    judge: Scorer,
    *,
    resume_from: bytes | Path | None = None,
    inherit_from: bytes | Path | None = None,
    device: str = "cpu",
    keeper: Keeper | None = None,
) -> Iterator[Report]:
    """Train one GAN.

    Args:
        config: the trial, checked.
        dataset: what it trains on.
        judge: scores ``judge.count`` samples at each report.
        resume_from: a checkpoint's bytes, file or folder; training continues after its step.
        inherit_from: the checkpoint of a trial with the same networks and other settings; training
            continues from its step (:meth:`Training.inherit`). Ignored if ``resume_from`` is given.
        device: a torch device.
        keeper: keeps the state between reports; it changes nothing in training.

    Returns:
        An iterator of reports: one at each remaining step of ``config.report_steps``. The last one
        has the outcome. Divergence ends the training at once, with an additional report.

    Raises:
        CheckpointError: ``resume_from`` is incomplete or belongs to another config, or
            ``inherit_from`` is incomplete or belongs to other networks.
    """
    training = build_training(config, dataset, judge, device=device)
    if resume_from is not None:
        training.load(checkpoint.read(resume_from))
    elif inherit_from is not None:
        training.inherit(checkpoint.read(inherit_from))
    training.keeper = keeper
    return training.reports()


def build_training(
    config: TrialConfig, dataset: Dataset, judge: Scorer, *, device: str = "cpu"
) -> Training:
    """The training of a trial before its first step; `auto` is resolved for the device."""
    config = resolved(config, dataset.kind, device)
    return Training(
        build_game(config, dataset, torch.device(device)),
        dataset,
        judge,
        report_steps=config.report_steps,
        objective=config.objective,
        collapse=config.collapse,
        divergence=config.divergence,
        patience=config.patience,
        seed=config.seed,
        deterministic=config.deterministic,
        matmul_precision=config.matmul_precision,
        config_digest=config.digest(),
    )


class Training:
    """A game, judged at each of ``report_steps``. Most callers want :func:`train`.

    ``seed`` seeds the noise that a user's generator may draw in evaluation. The checkpoints contain
    ``config_digest``. A ``keeper`` may be set, which keeps the state between reports.
    """

    def __init__(
        self,
        game: Game,
        dataset: Dataset,
        judge: Scorer,
        *,
        report_steps: Sequence[int],
        objective: Objective,
        collapse: CollapseRule,
        divergence: DivergenceRule,
        patience: int,
        seed: int,
        deterministic: bool,
        matmul_precision: str,
        config_digest: str,
    ) -> None:
        self.game, self.dataset, self.judge = game, dataset, judge
        self.report_steps, self.divergence = report_steps, divergence
        self.progress = Progress(objective, collapse, steps=report_steps[-1], patience=patience)
        self.seed, self.config_digest = seed, config_digest
        self.deterministic, self.matmul_precision = deterministic, matmul_precision
        self.keeper: Keeper | None = None
        self._best_weights: dict[str, Tensor] = {}
        self._begun: int | None = None  # step of the last report, while training to the next one

    @property
    def step(self) -> int:
        """Generator steps done so far."""
        return self.game.step

    @property
    def outcome(self) -> Outcome | None:
        """How the trial ended, None while it continues."""
        return self.progress.outcome

    def reports(self) -> Iterator[Report]:
        """The remaining reports; the last one has the outcome."""
        while self.outcome is None:
            yield self.next_report()

    def next_report(self) -> Report:
        """Train up to the next report, or to divergence, and judge the generator."""
        started = time.perf_counter()
        sound = self._train_to(next(s for s in self.report_steps if s > self.step))
        trained = time.perf_counter()
        metrics, grid = self._judged()
        scalars = metrics | self.game.figures.scalars()
        value = metrics[self.progress.objective.metric]
        improved = self._noted(scalars, value, metrics["variety"], sound=sound)
        return Report(
            step=self.step,
            scalars=scalars,
            value=None if self.outcome == "diverged" else value,
            best=self.progress.best,
            improved=improved,
            outcome=self.outcome,
            symptoms=symptoms(self.progress.history),
            grid=grid,
            training_seconds=trained - started,
            evaluation_seconds=time.perf_counter() - trained,
            _state=self.state,
        )

    def _train_to(self, target: int) -> bool:
        """Whether training stayed sound up to ``target``; if not, it ended early."""
        if self._begun is None:  # else a checkpoint from in between was loaded
            self._begun = self.step
            self.game.figures.begin()
        sound = True
        while sound and self.step < target:
            sound = self._train_until_due(target)
            if sound and self.step < target and self.keeper is not None:
                self.keeper.keep(self.state)
        self._begun = None
        return sound

    def _train_until_due(self, target: int) -> bool:
        """As :meth:`_train_to`, but return also if the state is to be kept."""
        game, precision = self.game, self.matmul_precision
        own_kernels = kernels(deterministic=self.deterministic, matmul_precision=precision)
        with own_kernels, global_generators(game.global_random, game.batches.device):
            while self.step < target:
                for _ in range(min(CHECK_EVERY, target - self.step)):
                    game.train_step()
                if not is_sound(game.figures, self.divergence):
                    return False
                if self.keeper is not None and self.keeper.is_due():
                    break
        return True

    def _judged(self) -> tuple[dict[str, float], Tensor]:
        """Metrics of the present generator, and a picture of its samples."""
        evaluation = self.game.evaluation
        # A user's generator may draw its own noise, also in evaluation.
        own_noise = seeded_globals(self.seed, "noise in evaluation", evaluation.device)
        with kernels(deterministic=self.deterministic), exact_convolutions(), own_noise:
            samples = evaluation.sample(self.judge.count, "evaluation")
            metrics = dict(self.judge(samples, models=evaluation.models()))
            if self.dataset.kind == "points":
                grid = pictures.scatter(samples, self.dataset, side=pictures.SMALL_CANVAS)
            else:
                drawn = evaluation.sample(GRID_SAMPLES, "grid")
                grid = pictures.grid(drawn, cell=pictures.SMALL_CELL)
        return metrics, grid

    def _noted(
        self, scalars: Mapping[str, float], value: float, variety: float, *, sound: bool
    ) -> bool:
        """Note a report; returns whether its value is the new best. If so, its weights are kept."""
        modes = len(self.dataset.mixture.modes) if self.dataset.mixture else None
        noise = self.judge.noise[self.progress.objective.metric]
        vitals = vitals_of(scalars, value, noise, modes=modes)
        improved = self.progress.note(self.step, value, vitals=vitals, variety=variety, sound=sound)
        if improved:
            judged = self.game.evaluation.generator().state_dict()
            self._best_weights = {key: tensor.clone() for key, tensor in judged.items()}
        return improved

    # ---------------------------------------------------------------- state

    def state(self) -> bytes:
        """All state that training needs to continue as if it had not stopped."""
        tensors = tensors_of(self.game)
        tensors |= {f"best/{key}": tensor for key, tensor in self._best_weights.items()}
        scalars = scalars_of(self.game) | self.progress.scalars()
        if self._begun is not None:
            figures = self.game.figures
            tensors |= {f"figures/{key}": tensor for key, tensor in figures.tensors().items()}
            scalars |= {checkpoint.BEGUN: self._begun, "counts": dict(figures.counts)}
        return checkpoint.pack(tensors, scalars, self.config_digest)

    def load(self, saved: checkpoint.Checkpoint) -> None:
        """Load the state of a checkpoint.

        Raises:
            CheckpointError: it was written by another config.
        """
        saved.check(self.config_digest)
        load_game(self.game, saved)
        device = self.game.batches.device
        self._best_weights = {k: v.to(device) for k, v in saved.under("best").items()}
        self.progress.load(saved.scalars)
        self._begun = saved.scalars.get(checkpoint.BEGUN)
        if self._begun is not None:
            window = {k: v.to(device) for k, v in saved.under("figures").items()}
            self.game.figures.load(window, saved.scalars["counts"])

    def inherit(self, saved: checkpoint.Checkpoint) -> None:
        """Continue from another trial's state with this trial's settings.

        Inherited are the weights and their averages, the state of optimizers of the same kind, the
        step, the order of the data and all random state. The best value, the patience counter and
        the history for symptoms and collapse start empty, since they belong to this trial.

        Raises:
            CheckpointError: its networks differ.
        """
        try:
            load_game(self.game, saved)
        except (KeyError, RuntimeError) as error:  # torch raises the latter for different shapes
            reason = first_line(error)
            raise CheckpointError(f"checkpoint: must be of the same networks: {reason}") from None
