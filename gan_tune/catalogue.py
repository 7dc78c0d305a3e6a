"""All parts by kind and name, and the rules that span several of them.

A part is added in the dict of its kind, in the file that defines it; from there it gets into the
space files, the JSON Schema and the conformance tests by way of :func:`catalogue`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache
from typing import Annotated, Any

import torch
from pydantic import Field

from gan_tune.config import (
    Argument,
    Catalogue,
    Incompatibility,
    Objective,
    Part,
    TrialConfig,
    signature_arguments,
)
from gan_tune.errors import DataError, Fault
from gan_tune.gan.data import DATASETS, Dataset, check_dataset, load_dataset, user_dataset
from gan_tune.gan.gradients import GRADIENT_CLIPS
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import NETWORKS, build_network, network_class
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import PENALTIES
from gan_tune.gan.scaling import Scale
from gan_tune.metrics import METRICS, metric_names
from gan_tune.wording import must_be_one_of

__all__ = ["INCOMPATIBILITIES", "catalogue", "dataset_of"]

BATCH_SIZE = Argument("batch_size", Annotated[int, Field(ge=2, le=65536)], False, 64)
SCALE = Argument("scale", Scale, False, "none")
TRAINING_ARGUMENTS = {argument.name: argument for argument in (BATCH_SIZE, SCALE)}
"""What every data part takes beside its data set's own arguments: how training reads the data."""


def dataset_of(part: Part) -> Dataset:
    """The data set a data part names, without what only concerns training.

    The last few are kept, so that checking a space and then searching it loads the data once.

    Raises:
        DataError: missing, damaged, or not fitting.
    """
    args = {key: value for key, value in part.args.items() if key not in TRAINING_ARGUMENTS}
    return _load(part.name, tuple(args.items()))


@lru_cache(maxsize=2)
def _load(name: str, args: tuple[tuple[str, Any], ...]) -> Dataset:
    return load_dataset(name, **dict(args))


def _output_range(config: TrialConfig) -> tuple[float, float] | None:
    """What the generator's output layer can reach at most, None where it is not limited."""
    ranges = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}
    return ranges.get(str(config.generator.args.get("output")))


def _is_points(config: TrialConfig) -> bool:
    try:
        return dataset_of(config.data).kind == "points"
    except DataError:
        return False  # missing data is a fault of its own


INCOMPATIBILITIES: tuple[Incompatibility, ...] = (
    Incompatibility(
        ("generator.output", "data.scale"),
        "sigmoid reaches only 0..1, but scaled data go below 0 (use tanh or linear)",
        lambda c: (
            _output_range(c) == (0.0, 1.0) and (c.data.args["scale"] != "none" or _is_points(c))
        ),
    ),
    Incompatibility(
        ("generator.output", "data.scale"),
        "tanh reaches only -1..1, but standardised data go beyond (use linear, or symmetric)",
        lambda c: _output_range(c) == (-1.0, 1.0) and c.data.args["scale"] == "standard",
    ),
    Incompatibility(
        ("generator.output", "data.scale"),
        "tanh reaches only -1..1, but unscaled points go beyond (use linear, or symmetric)",
        lambda c: (
            _output_range(c) == (-1.0, 1.0) and c.data.args["scale"] == "none" and _is_points(c)
        ),
    ),
)


@cache
def catalogue() -> Catalogue:
    """The catalogue of everything that can stand in a space file."""
    return Catalogue(
        parts={
            "data": {
                name: TRAINING_ARGUMENTS | signature_arguments(part)
                for name, part in DATASETS.items()
            },
            **{
                role: {name: signature_arguments(part) for name, part in networks.items()}
                for role, networks in NETWORKS.items()
            },
            "loss": {name: {} for name in LOSSES},
            "penalty": {
                "none": {},
                **{name: signature_arguments(part.function) for name, part in PENALTIES.items()},
            },
            "optimizer": _signatures(OPTIMIZERS),
            "gradient_clip": _signatures(GRADIENT_CLIPS),
        },
        incompatibilities=INCOMPATIBILITIES,
        load=_user_part,
        build=lambda config: list(_network_faults(config)),
        check_objective=_broken_objective,
        check_data=_data_fault,
    )


def _signatures(parts: Mapping[str, Callable[..., Any]]) -> dict[str, dict[str, Argument]]:
    return {name: signature_arguments(part) for name, part in parts.items()}


@cache
def _user_part(kind: str, name: str) -> Mapping[str, Argument]:
    """Arguments of a user's own part, named by import path: networks and data sets."""
    if kind == "data":
        try:
            loader = user_dataset(name)
        except DataError as error:
            raise KeyError(str(error)) from error
        return TRAINING_ARGUMENTS | signature_arguments(loader, skip=0)
    if kind not in NETWORKS:
        raise KeyError(f"a {kind.replace('_', ' ')} cannot be given by import path")
    try:
        network = network_class(kind, name)
    except LookupError as error:
        raise KeyError(error.args[0]) from error
    if not inspect.isclass(network) or not list(inspect.signature(network).parameters):
        raise KeyError("must be a class whose first parameter is the shape of one sample")
    arguments = signature_arguments(network, skip=1)
    if kind == "generator" and "latent" not in arguments:
        raise KeyError("a generator must take an argument `latent`, the size of its input")
    return arguments


def _network_faults(config: TrialConfig) -> Iterator[Fault]:
    """Build both networks on no real memory and pass two samples through."""
    try:
        shape = dataset_of(config.data).shape
    except DataError:
        return
    latent = config.generator.args.get("latent")
    generator, discriminator = config.generator, config.discriminator
    with torch.device("meta"):
        samples = torch.empty(2, *shape)
        for role, part, given, expected in (
            ("generator", generator, (torch.empty(2, latent or 1)), (2, *shape)),
            ("discriminator", discriminator, samples, (2, 1)),
        ):
            try:
                network = build_network(role, shape, name=part.name, args=part.args)
                found = tuple(network(given).shape)
            except Exception as error:  # a user's network may raise anything
                reason = str(error).strip().split("\n")[0]
                yield Fault(role, f"cannot be built for samples of shape {shape}", reason)
                continue
            if found != expected:
                yield Fault(role, f"must map {tuple(given.shape)} to {expected}", f"{found}")


def _broken_objective(objective: Objective, data: Part) -> str | None:
    try:
        dataset = dataset_of(data)
    except DataError:
        return None  # missing data is a fault of its own
    valid = metric_names(dataset)
    if objective.metric not in valid:
        return must_be_one_of(f"metric for {data.name}", objective.metric, valid)
    mode = METRICS[objective.metric].mode
    return None if objective.mode == mode else f"mode must be {mode} for {objective.metric}"


def _data_fault(data: Part) -> Fault | None:
    args = {key: value for key, value in data.args.items() if key not in TRAINING_ARGUMENTS}
    try:
        check_dataset(data.name, **args)
        dataset_of(data)
    except DataError as error:
        return Fault("data", str(error))
    return None
