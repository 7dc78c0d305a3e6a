"""The GAN loop: ``train(config, dataset, judge)`` yields a :class:`Report` at each evaluation.

It knows nothing of Ray or MLflow. Stopping a trial means not iterating further. Everything random
comes from generators of the trial's own, so equal configs give equal reports, bit for bit, and a
run resumed from a checkpoint equals one that ran through.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset, Mixture
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.gan.game import PLAYERS, Game
from gan_tune.gan.randomness import seeded, seeded_globals
from gan_tune.gan.symptoms import Vitals, symptoms
from gan_tune.metrics.models import Cost, Models
from gan_tune.samples import pictures

__all__ = ["Judge", "Report", "Training", "train"]

Outcome = Literal["completed", "diverged", "collapsed"]

CHECK_EVERY = 50
"""Steps between two looks for divergence: each look waits for the device once."""
COST_BATCH = 2
EVALUATION_BATCH = 2_000
GRID_SAMPLES = 64


class Judge(Protocol):
    """Scores samples in data space; see :mod:`gan_tune.metrics`."""

    @property
    def count(self) -> int:
        """How many samples it asks for."""
        ...

    @property
    def noise(self) -> Mapping[str, float]:
        """By how much each metric changes with the draw of the samples alone."""
        ...

    def __call__(self, samples: Tensor, *, models: Models) -> Mapping[str, float]: ...


@dataclass(frozen=True)
class Report:
    """What training yields at an evaluation.

    Attributes:
        step: generator steps done so far.
        scalars: the judge's metrics and the training's own figures, finite or not.
        value: the objective now; None where it is not finite.
        best: the best objective so far, None before there is one.
        improved: whether ``value`` is the new best.
        outcome: how the trial ended, None while it goes on.
        symptoms: names out of :data:`gan_tune.gan.symptoms.SYMPTOMS` that show so far.
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
        """The complete state of training, to resume from; valid until training goes on."""
        return self._state()

    def save(self, folder: Path) -> Path:
        """Write :meth:`checkpoint` into a folder, whole or not at all; returns the file."""
        return checkpoint.write(self._state(), folder)


def train(
    config: TrialConfig,
    dataset: Dataset,
    judge: Judge,
    *,
    resume_from: bytes | Path | None = None,
    inherit_from: bytes | Path | None = None,
    device: str = "cpu",
) -> Iterator[Report]:
    """Train one GAN.

    Args:
        config: the trial, checked.
        dataset: what it trains on.
        judge: scores ``judge.count`` samples at each report.
        resume_from: a checkpoint's bytes, its file or its folder; it goes on after that step.
        inherit_from: the checkpoint of a trial with the same networks and other settings, to go on
            from its step (:meth:`Training.inherit`); not looked at beside ``resume_from``.
        device: a torch device.

    Returns:
        An iterator of reports: one at each of ``config.report_steps`` that is still ahead, the
        last one with its outcome. Divergence ends the training at once, with a report of its own.

    Raises:
        CheckpointError: ``resume_from`` is incomplete or of another config, or ``inherit_from``
            is incomplete or of other networks.
    """
    training = Training(config, dataset, judge, device=device)
    if resume_from is not None:
        training.load(checkpoint.read(resume_from))
    elif inherit_from is not None:
        training.inherit(checkpoint.read(inherit_from))
    return training.reports()


class Training:
    """A game, judged at each report. Most callers want :func:`train`."""

    def __init__(
        self, config: TrialConfig, dataset: Dataset, judge: Judge, *, device: str = "cpu"
    ) -> None:
        self.config, self.dataset, self.judge = config, dataset, judge
        self.game = Game(config, dataset, torch.device(device))
        self.outcome: Outcome | None = None
        self.best: float | None = None
        self.best_step = 0
        self._best_weights: dict[str, Tensor] = {}
        self._reports_since_best = 0
        self._reports_without_variety = 0
        self._history: list[Vitals] = []

    @property
    def step(self) -> int:
        """Generator steps done so far."""
        return self.game.step

    def reports(self) -> Iterator[Report]:
        """The reports still ahead, the last one with its outcome."""
        while self.outcome is None:
            yield self.next_report()

    def next_report(self) -> Report:
        """Train up to the next report, or to divergence, and judge the generator."""
        started = time.perf_counter()
        target = next(s for s in self.config.report_steps if s > self.step)
        self.game.begin_window()
        precision = self.config.matmul_precision
        with self.game.own_kernels(precision), self.game.own_random_state():
            sound = self._train_to(target)
        trained = time.perf_counter()
        # A user's generator may draw noise of its own, in evaluation too.
        own_noise = seeded_globals(self.config.seed, "noise in evaluation", self.game.device)
        with self.game.own_kernels(), own_noise:
            samples = self.sample(self.judge.count, "evaluation")
            metrics = dict(self.judge(samples, models=self._models()))
            grid = self._grid(samples)
        scalars = metrics | {name: float(f) for name, f in self.game.figures.items()}
        scalars |= self.game.means()
        value: float | None = metrics[self.config.objective.metric]
        noise = self.judge.noise[self.config.objective.metric]
        self._history.append(_vitals(scalars, value, noise, self.dataset.mixture))
        if not (sound and value is not None and math.isfinite(value)):
            value, self.outcome = None, "diverged"
        improved = value is not None and self._keep_if_best(value)
        if self.outcome is None:
            self.outcome = self._verdict(metrics)
        return Report(
            step=self.step,
            scalars=scalars,
            value=value,
            best=self.best,
            improved=improved,
            outcome=self.outcome,
            symptoms=symptoms(self._history),
            grid=grid,
            training_seconds=trained - started,
            evaluation_seconds=time.perf_counter() - trained,
            _state=self.state,
        )

    def _grid(self, samples: Tensor) -> Tensor:
        if self.dataset.kind == "points":
            return pictures.scatter(samples, self.dataset, side=pictures.SMALL_CANVAS)
        return pictures.grid(self.sample(GRID_SAMPLES, "grid"), cell=pictures.SMALL_CELL)

    def _train_to(self, target: int) -> bool:
        """Whether training stayed sound up to ``target``; if not, it ended early."""
        while self.step < target:
            for _ in range(min(CHECK_EVERY, target - self.step)):
                self.game.train_step()
            if not self._sound():
                return False
        return True

    def _sound(self) -> bool:
        values = torch.stack([figure.double() for figure in self.game.figures.values()])
        if not bool(torch.isfinite(values).all()):
            return False
        # Of all steps since the last report: a spike between two looks counts.
        rule = self.config.divergence
        limits = {f"{player}_gradient_norm_max": rule.max_gradient_norm for player in PLAYERS}
        limits["discriminator_logit_max"] = rule.max_logit
        return all(float(peak) <= limits[name] for name, peak in self.game.peaks.items())

    def _keep_if_best(self, value: float) -> bool:
        objective = self.config.objective
        improved = self.best is None or objective.better(value, self.best)
        if improved:
            self.best, self.best_step, self._reports_since_best = value, self.step, 0
            self._best_weights = {
                name: tensor.clone() for name, tensor in self.game.judged().state_dict().items()
            }
        else:
            self._reports_since_best += 1
        return improved

    def _verdict(self, metrics: Mapping[str, float]) -> Outcome | None:
        config = self.config
        poor = metrics["variety"] < config.collapse.variety
        late = self.step >= config.collapse.after * config.steps
        self._reports_without_variety = self._reports_without_variety + 1 if poor and late else 0
        if self._reports_without_variety >= config.collapse.reports:
            return "collapsed"
        if self.step >= config.steps:
            return "completed"
        if config.patience and self._reports_since_best >= config.patience:
            return "completed"
        return None

    @torch.no_grad()
    def sample(self, count: int, purpose: str) -> Tensor:
        """``count`` samples in data space, from noise fixed by the trial's seed and ``purpose``."""
        game = self.game
        random = seeded(self.config.seed, purpose, game.device)
        z = torch.randn(count, game.latent, generator=random, device=game.device)
        network = game.judged().eval()
        samples = torch.cat(
            [game.scaling.undo(network(part)) for part in z.split(EVALUATION_BATCH)]
        )
        network.train()
        return samples

    def _models(self) -> Models:
        """What metrics of representations look at, as functions of samples in data space."""
        game = self.game
        features = getattr(game.discriminator, "features", None)
        return Models(
            discriminator_features=None if features is None else game.evaluated(features),
            encode=None if game.encoder is None else game.evaluated(game.encode),
            reconstruct=None if game.encoder is None else game.evaluated(game.reconstruct),
            generator_cost=self._generator_cost,
        )

    @torch.no_grad()
    def _generator_cost(self) -> Cost:
        """Counted by PyTorch over a batch, since a network need not take single samples."""
        generator = self.game.judged().eval()
        latent = torch.zeros(COST_BATCH, self.game.latent, device=self.game.device)
        with FlopCounterMode(display=False) as counter:
            generator(latent)
        generator.train()
        parameters = sum(p.numel() for p in generator.parameters())
        return Cost(float(parameters), counter.get_total_flops() / 2 / COST_BATCH)

    # ---------------------------------------------------------------- state

    def state(self) -> bytes:
        """Everything that training needs to go on as if it had never stopped."""
        tensors = self.game.tensors()
        tensors |= {f"best/{key}": tensor for key, tensor in self._best_weights.items()}
        return checkpoint.pack(tensors, self._scalars(), self.config.digest())

    def load(self, saved: checkpoint.Checkpoint) -> None:
        """Take up the state of a checkpoint.

        Raises:
            CheckpointError: it was written by another config.
        """
        saved.check(self.config.digest())
        self.game.load(saved)
        device = self.game.device
        self._best_weights = {k: v.to(device) for k, v in saved.under("best").items()}
        scalars = saved.scalars
        self.outcome = scalars["outcome"]
        self.best, self.best_step = scalars["best"], scalars["best_step"]
        self._reports_since_best = scalars["reports_since_best"]
        self._reports_without_variety = scalars["reports_without_variety"]
        self._history = [Vitals(*vitals) for vitals in scalars["history"]]

    def inherit(self, saved: checkpoint.Checkpoint) -> None:
        """Go on from another trial's state with this trial's settings.

        Taken over are the weights and their averages, the state of optimizers of the same kind, the
        step, the order of the data and all random state. The best so far, patience and what watches
        for collapse begin anew: they are this trial's own.

        Raises:
            CheckpointError: its networks are others.
        """
        try:
            self.game.load(saved)
        except (KeyError, RuntimeError) as error:  # torch raises the latter for unlike shapes
            reason = str(error).strip().split("\n")[0]
            raise CheckpointError(f"checkpoint: must be of the same networks: {reason}") from None

    def _scalars(self) -> dict[str, Any]:
        return self.game.scalars() | {
            "outcome": self.outcome,
            "best": self.best,
            "best_step": self.best_step,
            "reports_since_best": self._reports_since_best,
            "reports_without_variety": self._reports_without_variety,
            "history": self._history,
        }


def _vitals(
    scalars: Mapping[str, float], value: float | None, noise: float, mixture: Mixture | None
) -> Vitals:
    return Vitals(
        scalars["generator_gradient_norm"],
        scalars["generator_gradient_norm_max"],
        scalars.get("discriminator_gradient_norm"),
        scalars.get("discriminator_gradient_norm_max"),
        scalars.get("discriminator_accuracy_real"),
        scalars.get("discriminator_accuracy_fake"),
        math.nan if value is None else value,
        noise,
        **_spread(scalars, mixture),
    )


def _spread(scalars: Mapping[str, float], mixture: Mixture | None) -> dict[str, float]:
    if mixture is None:
        return {name: scalars[name] for name in ("density", "coverage")}
    return {
        "modes_missed": len(mixture.modes) - scalars["modes_covered"],
        "high_quality_share": scalars["high_quality_share"],
    }
