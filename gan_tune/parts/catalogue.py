"""All parts by kind and name, and the rules about several of them.

To add a part, add it to the dict of its kind, in the file that defines it. :func:`catalogue` makes
it available to space files, the JSON Schema and the conformance tests.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_tune.config import (
    Argument,
    Catalogue,
    Objective,
    Part,
    TrialConfig,
    signature_arguments,
)
from gan_tune.data.by_name import DATASETS, check_dataset, user_dataset
from gan_tune.errors import DataError, Fault
from gan_tune.gan.augment import AUGMENTS
from gan_tune.gan.estimators import ESTIMATORS
from gan_tune.gan.gradients import GRADIENT_CLIPS
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import (
    ENCODERS,
    NETWORKS,
    build_network,
    network_class,
)
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import EVERY as Every
from gan_tune.gan.penalties import PENALTIES
from gan_tune.gan.schedules import SCHEDULES
from gan_tune.gan.sparsity import SPARSITIES
from gan_tune.gan.updates import UPDATES
from gan_tune.metrics import METRICS, NO_OBJECTIVES, OF_SEVERAL_MODES, metric_names
from gan_tune.model.export import check_exportable
from gan_tune.parts.advice import ADVICE
from gan_tune.parts.incompatibilities import INCOMPATIBILITIES
from gan_tune.parts.network_traits import (
    built_and_asked,
    features_fault,
    is_users_own,
    once_per_network,
)
from gan_tune.parts.search_rules import SEARCH_ADVICE, SEARCH_REFUSALS
from gan_tune.parts.trial_data import TRAINING_ARGUMENTS, dataset_of, own_arguments
from gan_tune.searching.populations.population import POPULATIONS
from gan_tune.searching.rules.stopping import SCHEDULERS
from gan_tune.searching.study.samplers import SAMPLERS
from gan_tune.words.wording import in_one_line, must_be_one_of, shown

__all__ = ["catalogue", "dataset_of"]

EVERY = Argument("every", Every, False, 1)


@cache
def catalogue() -> Catalogue:
    """The catalogue of all parts that a space file can name."""
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
            "encoder": {"none": {}, **_signatures(ENCODERS)},
            "loss": _signatures(LOSSES),
            "penalty": {"none": {}} | {name: _penalty_arguments(name) for name in PENALTIES},
            "sparsity": _signatures(SPARSITIES),
            "augment": _signatures({name: part.function for name, part in AUGMENTS.items()}),
            "gradient": _signatures(ESTIMATORS),
            "gradient_clip": _signatures(GRADIENT_CLIPS),
            "optimizer": _signatures(OPTIMIZERS),
            "schedule": _signatures(SCHEDULES),
            "update": {name: {} for name in UPDATES},
            "sampler": {
                name: signature_arguments(sampler.build) for name, sampler in SAMPLERS.items()
            },
            "scheduler": _signatures({**SCHEDULERS, **POPULATIONS}),
        },
        incompatibilities=INCOMPATIBILITIES,
        advice=ADVICE,
        search_refusals=SEARCH_REFUSALS,
        search_advice=SEARCH_ADVICE,
        populations=frozenset(POPULATIONS),
        load=_user_part,
        build=lambda config: [*_network_faults(config), *_metric_faults(config)],
        check_objective=_broken_objective,
        check_data=_data_fault,
    )


def _penalty_arguments(name: str) -> dict[str, Argument]:
    penalty = PENALTIES[name]
    lazy = {EVERY.name: EVERY} if penalty.of == "discriminator" else {}
    return signature_arguments(penalty.function) | lazy


def _signatures(parts: Mapping[str, Callable[..., Any]]) -> dict[str, dict[str, Argument]]:
    return {name: signature_arguments(part) for name, part in parts.items()}


@cache
def _user_part(kind: str, name: str) -> Mapping[str, Argument]:
    """Arguments of a user's own part, named by import path: networks and data sets."""
    if kind != "data" and kind not in NETWORKS:
        raise KeyError(f"no {kind.replace('_', ' ')} can be given by import path")
    try:
        part = user_dataset(name) if kind == "data" else network_class(kind, name)
    except (DataError, LookupError) as error:
        raise KeyError(error.args[0]) from error
    try:
        parameters = inspect.signature(part).parameters
    except (TypeError, ValueError) as error:
        raise KeyError(f"must have a signature ({in_one_line(error)})") from error
    if kind == "data":
        return TRAINING_ARGUMENTS | signature_arguments(part, skip=0)
    if not inspect.isclass(part) or not parameters:
        raise KeyError("must be a class whose first parameter is the shape of one sample")
    arguments = signature_arguments(part, skip=2 if kind == "encoder" else 1)
    if kind == "generator" and "latent" not in arguments:
        raise KeyError("a generator must take an argument `latent`, the size of its input")
    return arguments


def _network_faults(config: TrialConfig) -> Iterator[Fault]:
    """Build all networks and pass some samples through."""
    try:
        shape = dataset_of(config.data).shape
    except DataError:
        return
    latent = config.generator.args.get("latent")  # missing if its default is not JSON
    if not isinstance(latent, int) or latent < 1:  # of a user's own generator: checked nowhere else
        yield Fault("generator.latent", "must be a whole number of at least 1", shown(latent))
        return
    for role in NETWORKS:
        part: Part = getattr(config, role)
        if part.name == "none":
            continue
        # Without real memory, unless a user's network does not allow that.
        faults = list(_faults_of_network(role, part, config, shape, latent, device="meta"))
        if faults and is_users_own(config, role):
            faults = list(_faults_of_network(role, part, config, shape, latent, device="cpu"))
        yield from faults
        if role == "generator" and is_users_own(config, role) and not faults:
            yield from _export_faults(role, part, shape)


def _faults_of_network(
    role: str, part: Part, config: TrialConfig, shape: tuple[int, ...], latent: int, *, device: str
) -> Iterator[Fault]:
    given, made = {
        "generator": ((latent,), shape),
        "discriminator": (shape, (1,)),
        "encoder": (shape, (latent,)),
    }[role]
    with torch.device(device), torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            code = latent if role == "encoder" else None
            network = build_network(role, shape, name=part.name, args=part.args, code=code)
            if (rule := _unsound(network)) is not None:
                yield Fault(role, rule, part.name)
                return
            for batch in (3, 2):
                output = network(torch.zeros(batch, *given))
                found, expected = tuple(output.shape), (batch, *made)
                if found != expected:
                    rule = f"must map {(batch, *given)} to {expected}"
                    yield Fault(role, rule, f"{found}")
                    return
                if output.dtype != torch.float32:
                    yield Fault(role, "must give float32", str(output.dtype))
                    return
            if role == "discriminator":
                yield from _discriminator_lacks(config, network, torch.zeros(3, *given))
        except Exception as error:  # a user's network may raise anything
            rule = f"cannot be built for samples of shape {shape}"
            yield Fault(role, rule, in_one_line(error))
            return


def _unsound(network: Any) -> str | None:
    """The rule that an instance of a user's class breaks, or None."""
    if not isinstance(network, nn.Module):
        return "must be a torch.nn.Module"
    if any(nn.parameter.is_lazy(parameter) for parameter in network.parameters()):
        return "must know its sizes from the start: no lazy layers"
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return "must have parameters to train"
    return None


@once_per_network
def _export_faults(role: str, part: Part, shape: tuple[int, ...]) -> Sequence[Fault]:
    """The faults that would prevent the registration of a generator."""
    try:
        built_and_asked(role, part, shape, partial(check_exportable, latent=part.args["latent"]))
    except Exception as error:  # torch, or a user's network, may raise anything
        rule = "cannot be exported: torch.export must take it for any batch size"
        return [Fault(role, rule, in_one_line(error))]
    return []


def _discriminator_lacks(
    config: TrialConfig, network: nn.Module, samples: Tensor
) -> Iterator[Fault]:
    probing = [
        name
        for name in set(config.wanted_metrics) & METRICS.keys()
        if METRICS[name].model == "discriminator_features"
    ]
    features = getattr(network, "features", None)
    if features is None:
        rule = "needs a discriminator with a method `features`"
        yield from (Fault(_place_of_metric(config, name), rule, repr(name)) for name in probing)
    elif probing and (fault := features_fault(features, samples)) is not None:
        yield fault


def _place_of_metric(config: TrialConfig, name: str) -> str:
    return "objective.metric" if name == config.objective.metric else "measure"


def _metric_faults(config: TrialConfig) -> Iterator[Fault]:
    """Requested metrics that do not apply to the data, or need a network that the trial lacks."""
    try:
        valid = metric_names(dataset_of(config.data))
    except DataError:
        return
    for i, name in enumerate(config.measure):
        if name not in valid:
            rule = must_be_one_of(f"metric for {config.data.name}", name, valid)
            yield Fault(f"measure.{i}", rule, repr(name))
    for name in set(config.wanted_metrics) & set(valid):
        if METRICS[name].model in ("encode", "reconstruct") and config.encoder.name == "none":
            yield Fault(_place_of_metric(config, name), "needs an encoder", repr(name))


def _broken_objective(objective: Objective, data: Part) -> str | None:
    try:
        dataset = dataset_of(data)
    except DataError:
        return None  # missing data are a separate fault
    valid = metric_names(dataset)
    if objective.metric not in valid:
        return must_be_one_of(f"metric for {data.name}", objective.metric, valid)
    if objective.metric in NO_OBJECTIVES:
        return f"{objective.metric} is best near 1, neither low nor high: no objective"
    mixture = dataset.mixture
    if objective.metric in OF_SEVERAL_MODES and mixture and len(mixture.modes) == 1:
        return f"{objective.metric} needs several modes, and {data.name} has one"
    mode = METRICS[objective.metric].mode
    return None if objective.mode == mode else f"mode must be {mode} for {objective.metric}"


def _data_fault(data: Part) -> Fault | None:
    try:
        check_dataset(data.name, **own_arguments(data))
        dataset_of(data)
    except DataError as error:
        return Fault("data", str(error))
    return None
