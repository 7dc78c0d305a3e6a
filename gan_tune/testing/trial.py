"""A tiny trial around the part that is checked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import gan_tune
from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset, cut
from gan_tune.errors import GanTuneError
from gan_tune.parts.catalogue import catalogue

__all__ = ["check_training", "path_of", "random_samples"]

SAMPLES = 400
STEPS, REPORTS = 6, 2


def random_samples(*, shape: Sequence[int]) -> Dataset:
    """400 random samples of a shape: pictures (C, H, W) or points (D,); the same each time."""
    random = np.random.RandomState(0)
    if len(shape) == 3:
        samples = random.randint(0, 256, size=(SAMPLES, *shape)).astype(np.uint8)
        return cut("random", "pictures", samples, None)
    points = random.standard_normal((SAMPLES, *shape)).astype(np.float32)
    return cut("random", "points", points, None)


def path_of(part: Callable[..., Any]) -> str:
    """The import path by which a space file names a part: `module:Name`.

    Raises:
        AssertionError: it is no class or function of a module.
    """
    name = getattr(part, "__qualname__", "")
    if not name.isidentifier():
        raise AssertionError(
            f"{name or part!r}: must stand at the top level of a module, so that a space file can "
            "name it as module:Name"
        )
    return f"{part.__module__}:{name}"


def check_training(what: str, parts: Mapping[str, Any]) -> None:
    """Whether a trial of these parts is sound, and gives finite figures over a few steps.

    Networks that are not given are small shipped ones.

    Raises:
        AssertionError: with all rules that are broken, or the figures that are not finite.
    """
    adam = {"name": "adam", "lr": 1e-4}
    tree: dict[str, Any] = {
        "discriminator": {"name": "mlp", "hidden": [8]},
        "loss": "non_saturating",
        "generator_optimizer": adam,
        "discriminator_optimizer": adam,
        "steps": STEPS,
        "evaluations": REPORTS,
        **parts,
    }
    try:
        reports = list(gan_tune.train(TrialConfig.from_tree(tree, catalogue())))
    except GanTuneError as error:
        raise AssertionError(f"{what}: {error}") from None
    for report in reports:
        wrong = {k: v for k, v in report.scalars.items() if not math.isfinite(v)}
        if wrong:
            told = f"training must give finite figures, but at step {report.step} it gave {wrong}"
            raise AssertionError(f"{what}: {told}")
    if reports[-1].outcome == "diverged":
        raise AssertionError(f"{what}: training must not diverge within {STEPS} steps, but it did")
