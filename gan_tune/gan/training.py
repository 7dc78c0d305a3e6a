"""The GAN loop: ``train(config, dataset, judge)`` yields a :class:`Report` at each evaluation.

It knows nothing of Ray or MLflow. Stopping a trial means not iterating further. Everything random
comes from generators of the trial's own, so equal configs give equal reports, bit for bit, and a
run resumed from a checkpoint equals one that ran through.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from gan_tune.config import Part, TrialConfig
from gan_tune.gan import checkpoint, pictures
from gan_tune.gan.data import Dataset
from gan_tune.gan.gradients import GRADIENT_CLIPS, total_norm
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import build_network, has_batch_norm
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import PENALTIES, applies_to
from gan_tune.gan.scaling import scaling_of

__all__ = ["Judge", "Report", "Training", "train"]

Outcome = Literal["completed", "diverged", "collapsed"]

CHECK_EVERY = 50
"""Steps between two looks for divergence: each look waits for the device once."""
EVALUATION_BATCH = 2_000
GRID_SAMPLES = 64
EMA_WARM_UP = 10
"""The average follows the weights closely at first: decay ≤ (1 + t) / (10 + t) at step t."""


class Judge(Protocol):
    """Scores samples in data space; see :mod:`gan_tune.metrics`."""

    @property
    def count(self) -> int:
        """How many samples it asks for."""
        ...

    def __call__(self, samples: Tensor) -> Mapping[str, float]: ...


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
        grid: uint8 picture [H, W, 3] of samples from fixed noise.
        training_seconds, evaluation_seconds: time spent since the last report.
    """

    step: int
    scalars: Mapping[str, float]
    value: float | None
    best: float | None
    improved: bool
    outcome: Outcome | None
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
    device: str = "cpu",
) -> Iterator[Report]:
    """Train one GAN.

    Args:
        config: the trial, checked.
        dataset: what it trains on.
        judge: scores ``judge.count`` samples at each report.
        resume_from: a checkpoint's bytes, its file or its folder; it goes on after that step.
        device: a torch device.

    Returns:
        An iterator of reports: one at each of ``config.report_steps`` that is still ahead, the
        last one with its outcome. Divergence ends the training at once, with a report of its own.

    Raises:
        CheckpointError: ``resume_from`` is incomplete or of another config.
    """
    training = Training(config, dataset, judge, device=device)
    if resume_from is not None:
        training.load(checkpoint.read(resume_from))
    return training.reports()


class Training:
    """The state of one training run. Most callers want :func:`train`."""

    def __init__(
        self, config: TrialConfig, dataset: Dataset, judge: Judge, *, device: str = "cpu"
    ) -> None:
        self.config, self.judge, self.device = config, judge, torch.device(device)
        self.dataset = dataset
        self.scaling = scaling_of(dataset, config.data.args["scale"])
        self.data = torch.tensor(dataset.train, device=self.device)
        if dataset.kind == "points":
            self.data = self.scaling.apply(self.data)  # pictures stay uint8, a quarter of the size
        self.batch: int = config.data.args["batch_size"]
        self.latent: int = config.generator.args["latent"]
        self.generator, self.discriminator, self._torch_rng = _build(config, dataset, self.device)
        self.average = _build(config, dataset, self.device)[0] if config.ema else None
        self._networks = {"generator": self.generator, "discriminator": self.discriminator}
        self._parameters = {
            name: [p for p in net.parameters() if p.requires_grad]
            for name, net in self._networks.items()
        }
        self._optimizers = {
            "generator": _optimizer(config.generator_optimizer, self._parameters["generator"]),
            "discriminator": _optimizer(
                config.discriminator_optimizer, self._parameters["discriminator"]
            ),
        }
        self._clip = {
            "generator": _bound(GRADIENT_CLIPS, config.generator_gradient_clip),
            "discriminator": _bound(GRADIENT_CLIPS, config.discriminator_gradient_clip),
        }
        self.loss = LOSSES[config.loss.name]
        # One pass over real and fake together is cheaper, but would mix their batch statistics.
        self._joint = not has_batch_norm(self.discriminator)
        self._random = {
            "data": _generator(config.seed, "data", self.device),
            "latent": _generator(config.seed, "latent", self.device),
        }
        self.step = 0
        self.outcome: Outcome | None = None
        self.best: float | None = None
        self.best_step = 0
        self._best_weights: dict[str, Tensor] = {}
        self._reports_since_best = 0
        self._reports_without_variety = 0
        self._figures: dict[str, Tensor] = {}

    # ---------------------------------------------------------------- the step

    def train_step(self) -> None:
        """``d_steps`` discriminator steps and one generator step."""
        for _ in range(self.config.d_steps):
            real = self._real_batch()
            fake = self.generator(self._latents(self.batch, self._random["latent"]))
            self._discriminator_step(real, fake.detach())
        # The last fake batch serves both players: D has just learnt from it, G answers.
        self._generator_step(real, fake)
        self.step += 1
        if self.average is not None:
            self._follow()

    def _discriminator_step(self, real: Tensor, fake: Tensor) -> None:
        real_logits, fake_logits = self._logits(real, fake)
        loss = self.loss.discriminator(real_logits, fake_logits)
        loss = loss + self._penalties("discriminator", real, fake)
        self._descend("discriminator", loss)
        self._figures["discriminator_loss"] = loss.detach()
        self._figures["discriminator_logit_max"] = torch.maximum(
            real_logits.detach().abs().max(), fake_logits.detach().abs().max()
        )
        for name, right in (
            ("real", real_logits.detach() > self.loss.boundary),
            ("fake", fake_logits.detach() < self.loss.boundary),
        ):
            self._figures[f"discriminator_accuracy_{name}"] = right.float().mean()

    def _generator_step(self, real: Tensor, fake: Tensor) -> None:
        fake_logits = self.discriminator(fake)
        real_logits = self.discriminator(real) if self.loss.generator_needs_real else fake_logits
        loss = self.loss.generator(real_logits, fake_logits)
        loss = loss + self._penalties("generator", real, fake)
        self._descend("generator", loss)
        self._figures["generator_loss"] = loss.detach()

    def _descend(self, player: str, loss: Tensor) -> None:
        parameters = self._parameters[player]
        gradients = torch.autograd.grad(loss, parameters)
        self._figures[f"{player}_gradient_norm"] = total_norm(gradients)
        for parameter, gradient in zip(parameters, self._clip[player](gradients), strict=True):
            parameter.grad = gradient
        self._optimizers[player].step()

    def _penalties(self, player: str, real: Tensor, fake: Tensor) -> Tensor | float:
        total: Tensor | float = 0.0
        for part in self.config.penalties:
            penalty, args = PENALTIES[part.name], dict(part.args)
            if not applies_to(penalty, args, player):
                continue
            if penalty.of == "weights":
                total = total + penalty.function(self._parameters[player], **args)
            else:
                total = total + penalty.function(self.discriminator, real, fake, **args)
        return total

    def _logits(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        if not self._joint:
            return self.discriminator(real), self.discriminator(fake)
        logits = self.discriminator(torch.cat((real, fake)))
        return logits[: len(real)], logits[len(real) :]

    def _real_batch(self) -> Tensor:
        chosen = torch.randint(
            len(self.data), (self.batch,), generator=self._random["data"], device=self.device
        )
        real = self.data[chosen]
        return self.scaling.apply(real) if self.dataset.kind == "pictures" else real

    def _latents(self, count: int, random: torch.Generator) -> Tensor:
        return torch.randn(count, self.latent, generator=random, device=self.device)

    @torch.no_grad()
    def _follow(self) -> None:
        assert self.average is not None
        decay = min(self.config.ema, (1 + self.step) / (EMA_WARM_UP + self.step))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.generator.parameters()), 1 - decay
        )

    # ---------------------------------------------------------------- the report

    def reports(self) -> Iterator[Report]:
        """The reports still ahead, the last one with its outcome."""
        while self.outcome is None:
            yield self.next_report()

    def next_report(self) -> Report:
        """Train up to the next report, or to divergence, and judge the generator."""
        started = time.perf_counter()
        target = next(s for s in self.config.report_steps if s > self.step)
        with self._own_random_state():
            sound = self._train_to(target)
        trained = time.perf_counter()
        samples = self.sample(self.judge.count, "evaluation")
        metrics = dict(self.judge(samples))
        scalars = metrics | {name: float(figure) for name, figure in self._figures.items()}
        value: float | None = metrics[self.config.objective.metric]
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
            grid=pictures.grid(self.sample(GRID_SAMPLES, "grid"), cell=pictures.SMALL_CELL)
            if self.dataset.kind == "pictures"
            else pictures.scatter(samples, self.dataset),
            training_seconds=trained - started,
            evaluation_seconds=time.perf_counter() - trained,
            _state=self.state,
        )

    def _train_to(self, target: int) -> bool:
        """Whether training stayed sound up to ``target``; if not, it ended early."""
        while self.step < target:
            for _ in range(min(CHECK_EVERY, target - self.step)):
                self.train_step()
            if not self._sound():
                return False
        return True

    def _sound(self) -> bool:
        rule = self.config.divergence
        figures = torch.stack([f.double() for f in self._figures.values()])
        if not bool(torch.isfinite(figures).all()):
            return False
        norms = (self._figures[f"{player}_gradient_norm"] for player in self._networks)
        return (
            float(self._figures["discriminator_logit_max"]) <= rule.max_logit
            and max(float(norm) for norm in norms) <= rule.max_gradient_norm
        )

    def _keep_if_best(self, value: float) -> bool:
        objective = self.config.objective
        improved = self.best is None or objective.better(value, self.best)
        if improved:
            self.best, self.best_step, self._reports_since_best = value, self.step, 0
            self._best_weights = {
                name: tensor.clone() for name, tensor in self._judged().state_dict().items()
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

    def _judged(self) -> nn.Module:
        """The generator that is judged, drawn, kept and exported: the average where it is on."""
        if self.average is None:
            return self.generator
        for mine, its in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mine.copy_(its)
        return self.average

    @torch.no_grad()
    def sample(self, count: int, purpose: str) -> Tensor:
        """``count`` samples in data space, from noise fixed by the trial's seed and ``purpose``."""
        network = self._judged()
        network.eval()
        z = self._latents(count, _generator(self.config.seed, purpose, self.device))
        samples = torch.cat(
            [self.scaling.undo(network(part)) for part in z.split(EVALUATION_BATCH)]
        )
        network.train()
        return samples

    # ---------------------------------------------------------------- state

    def state(self) -> bytes:
        """Everything that training needs to go on as if it had never stopped."""
        tensors = {
            f"{name}/{key}": tensor
            for name, network in [*self._networks.items(), ("average", self.average)]
            if network is not None
            for key, tensor in network.state_dict().items()
        }
        tensors |= {f"best/{key}": tensor for key, tensor in self._best_weights.items()}
        tensors |= {f"random/{name}": random.get_state() for name, random in self._random.items()}
        tensors |= {f"torch/{name}": state for name, state in self._torch_rng.items()}
        tensors |= {f"figures/{name}": tensor for name, tensor in self._figures.items()}
        for name, optimizer in self._optimizers.items():
            tensors |= checkpoint.optimizer_tensors(optimizer, f"{name}_optimizer")
        return checkpoint.pack(tensors, self._scalars(), self.config.digest())

    def load(self, saved: checkpoint.Checkpoint) -> None:
        """Take up the state of a checkpoint.

        Raises:
            CheckpointError: it was written by another config.
        """
        saved.check(self.config.digest())
        for name, network in [*self._networks.items(), ("average", self.average)]:
            if network is not None:
                network.load_state_dict(saved.under(name))
        self._best_weights = {k: v.to(self.device) for k, v in saved.under("best").items()}
        for name, random in self._random.items():
            random.set_state(saved.tensors[f"random/{name}"])
        self._torch_rng = saved.under("torch")
        self._figures = {k: v.to(self.device) for k, v in saved.under("figures").items()}
        for name, optimizer in self._optimizers.items():
            checkpoint.load_optimizer(optimizer, saved.under(f"{name}_optimizer"))
        scalars = saved.scalars
        self.step, self.outcome = scalars["step"], scalars["outcome"]
        self.best, self.best_step = scalars["best"], scalars["best_step"]
        self._reports_since_best = scalars["reports_since_best"]
        self._reports_without_variety = scalars["reports_without_variety"]

    def _scalars(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "outcome": self.outcome,
            "best": self.best,
            "best_step": self.best_step,
            "reports_since_best": self._reports_since_best,
            "reports_without_variety": self._reports_without_variety,
        }

    @contextmanager
    def _own_random_state(self) -> Iterator[None]:
        """Run with the trial's own state of torch's global generators.

        Our parts do not use them, but a user's network may (dropout).
        """
        outer = _torch_random_state(self.device)
        deterministic = torch.are_deterministic_algorithms_enabled()
        _set_torch_random_state(self._torch_rng, self.device)
        torch.use_deterministic_algorithms(self.config.deterministic)
        try:
            yield
        finally:
            self._torch_rng = _torch_random_state(self.device)
            _set_torch_random_state(outer, self.device)
            torch.use_deterministic_algorithms(deterministic)


def _build(
    config: TrialConfig, dataset: Dataset, device: torch.device
) -> tuple[nn.Module, nn.Module, dict[str, Tensor]]:
    """Both networks, initialised from the trial's seed, and the generators' state after it."""
    outer = _torch_random_state(device)
    try:
        torch.manual_seed(_derived(config.seed, "networks"))
        # Built on the CPU, so that every device starts from the same weights.
        generator, discriminator = (
            build_network(role, dataset.shape, name=part.name, args=part.args).to(device)
            for role, part in (
                ("generator", config.generator),
                ("discriminator", config.discriminator),
            )
        )
        return generator, discriminator, _torch_random_state(device)
    finally:
        _set_torch_random_state(outer, device)


def _torch_random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_torch_random_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def _derived(seed: int, purpose: str) -> int:
    """A seed for one purpose of a trial, independent of those for its other purposes."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7], "big")


def _generator(seed: int, purpose: str, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(_derived(seed, purpose))


def _optimizer(part: Part, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return OPTIMIZERS[part.name](parameters, **part.args)


def _bound(parts: Mapping[str, Callable[..., Any]], part: Part) -> Callable[..., Any]:
    return partial(parts[part.name], **part.args)
