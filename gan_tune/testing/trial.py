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
from gan_tune.parts.all_parts import catalogue
from gan_tune.words.wording import in_one_line

__all__ = ["check_training", "name_of", "path_of", "random_samples"]

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
        AssertionError: it is not defined at the top level of a module.
    """
    name = getattr(part, "__qualname__", "")
    if not name.isidentifier():
        raise AssertionError(
            f"{name or name_of(part)}: must stand at the top level of a module, so that a space "
            "file can name it as module:Name"
        )
    return f"{part.__module__}:{name}"


def name_of(part: Callable[..., Any]) -> str:
    """A part's name for messages. An instance has none: then the first line of its repr."""
    return getattr(part, "__name__", None) or repr(part).splitlines()[0]


def check_training(what: str, parts: Mapping[str, Any]) -> None:
    """Check that a trial of these parts is valid and gives finite figures over a few steps.

    Small shipped networks are used for those that are not given.

    Raises:
        AssertionError: names all broken rules, or the figures that are not finite.
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
    except Exception as error:  # a part of the user's own may raise anything
        raise AssertionError(f"{what}: must train, but {in_one_line(error)}") from error
    for report in reports:
        wrong = {k: v for k, v in report.scalars.items() if not math.isfinite(v)}
        if wrong:
            fault = f"training must give finite figures, but at step {report.step} it gave {wrong}"
            raise AssertionError(f"{what}: {fault}")
    if reports[-1].outcome == "diverged":
        raise AssertionError(f"{what}: training must not diverge within {STEPS} steps, but it did")
