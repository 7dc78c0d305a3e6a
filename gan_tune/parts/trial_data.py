"""The data part of a trial: a data set's own arguments, and how training reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field

from gan_tune.config import Argument, Part
from gan_tune.config.import_path import calls_own_parts
from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import SPLITS, Dataset
from gan_tune.data.mapped import chunks
from gan_tune.data.scaling import Scale
from gan_tune.errors import DataError
from gan_tune.gan.device import accelerator, exact_convolutions
from gan_tune.metrics import Judge, build_judge
from gan_tune.metrics.features import FeatureExtractor

__all__ = [
    "DEFAULT_SCALES",
    "TRAINING_ARGUMENTS",
    "dataset_of",
    "judge_of",
    "own_arguments",
    "read_anew",
    "training_arguments",
]

BATCH_SIZE = Argument("batch_size", Annotated[int, Field(ge=2, le=65536)], False, 64)
SCALE = Argument("scale", Scale, False, "none")
TRAINING_ARGUMENTS = {argument.name: argument for argument in (BATCH_SIZE, SCALE)}
"""The arguments that all data parts share: how training reads the data."""

DEFAULT_SCALES: Mapping[str, Scale] = MappingProxyType({"table": "by_column"})
"""The data sets that have another default of `scale`."""


def training_arguments(name: str) -> dict[str, Argument]:
    """:data:`TRAINING_ARGUMENTS` with the defaults of one data set."""
    default = DEFAULT_SCALES.get(name, SCALE.default)
    return {**TRAINING_ARGUMENTS, SCALE.name: replace(SCALE, default=default)}


def own_arguments(part: Part) -> dict[str, Any]:
    """A data part's arguments without those that only concern training."""
    return {key: value for key, value in part.args.items() if key not in TRAINING_ARGUMENTS}


def dataset_of(part: Part) -> Dataset:
    """The data set a data part names.

    The last few are cached, so that checking a space and then searching it loads the data once.

    Raises:
        DataError: they are missing, damaged or unsuitable, or all samples of a split are equal.
    """
    if ":" in part.name and not calls_own_parts():
        raise DataError(f"data set {part.name}: is not called by this check")
    return _load(part.name, json.dumps(own_arguments(part), sort_keys=True))


def judge_of(
    dataset: Dataset,
    split: Literal["selection", "test"],
    *,
    extra: Sequence[str] = (),
    extractor: FeatureExtractor | None = None,
) -> Judge:
    """:func:`~gan_tune.metrics.build_judge` with the fastest device that this process may use."""
    with exact_convolutions():
        return build_judge(dataset, split, extra=extra, extractor=extractor, fastest=accelerator())


def read_anew(part: Part) -> Dataset:
    """As :func:`dataset_of`, but read again even if this process has read it before."""
    _load.cache_clear()
    return dataset_of(part)


@lru_cache(maxsize=2)
def _load(name: str, args: str) -> Dataset:
    """``args`` are JSON, since a user's data set may have lists, which are no keys of a cache."""
    dataset = load_dataset(name, **json.loads(args))
    for split in SPLITS:
        samples = dataset.split(split)
        if not any((chunk != samples[:1]).any() for chunk in chunks(samples)):
            rule = f"{split} must hold samples that differ"
            raise DataError(f"data set {name}: {rule}: all {len(samples)} are equal")
    return dataset
