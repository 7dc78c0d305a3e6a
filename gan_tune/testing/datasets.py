"""Checks of data sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import SPLITS, Dataset
from gan_tune.errors import GanTuneError
from gan_tune.testing.trial import check_training, name_of, path_of

__all__ = ["check_dataset"]


def check_dataset(function: Callable[..., Dataset], **args: Any) -> None:
    """Check a data set: it loads, is the same each time, and a GAN trains on it.

    Args:
        function: a function at the top level of a module that returns a :class:`gan_tune.Dataset`.
        args: its arguments: plain values, as in a space file.

    Raises:
        AssertionError: a rule is broken; the text names the rule and the value.
    """
    what, name = name_of(function), path_of(function)
    try:
        first, second = load_dataset(name, **args), load_dataset(name, **args)
    except GanTuneError as error:
        raise AssertionError(f"{what}: {error}") from None
    if first.digest != second.digest:
        raise AssertionError(
            f"{what}: two calls must give the same samples, so that resuming is exact, but the "
            f"digests are {first.digest} and {second.digest}"
        )
    for split in SPLITS[1:]:
        samples = first.split(split)
        if len(samples) == len(first.train) and bool((samples == first.train).all()):
            rule = "the splits must be different samples"
            raise AssertionError(f"{what}: {rule}, but {split} is train")
    generator = {"name": "mlp", "latent": 4, "hidden": [8], "output": "linear"}
    part = {"name": name, "batch_size": 8, **args}
    check_training(what, {"data": part, "generator": generator})
