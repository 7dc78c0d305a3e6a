"""All parts by kind and name, and the rules about several of them.

To add a part, add it to the dict of its kind, in the file that defines it. :func:`catalogue` makes
it available to space files, the JSON Schema and the conformance tests.
"""

from __future__ import annotations

import inspect
import json
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
from gan_tune.config.import_path import raising_exceptions
from gan_tune.data.by_name import DATASETS, check_arguments, user_dataset
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
from gan_tune.gan.penalties import EVERY, PENALTIES
from gan_tune.gan.schedules import SCHEDULES
from gan_tune.gan.sparsity import SPARSITIES
from gan_tune.gan.updates import UPDATES
from gan_tune.metrics import BEST_NEAR_ONE, METRICS, NEED_SEVERAL_MODES, metric_names
from gan_tune.parts.advice import ADVICE
from gan_tune.parts.incompatibilities import INCOMPATIBILITIES
from gan_tune.parts.network_traits import (
    built_and_asked,
    features_fault,
    is_users_own,
    may_be_built,
    once_per_network,
)
from gan_tune.parts.search_rules import SEARCH_ADVICE, SEARCH_REFUSALS
from gan_tune.parts.training_step import training_faults
from gan_tune.parts.trial_data import (
    TRAINING_ARGUMENTS,
    dataset_of,
    judge_of,
    own_arguments,
    training_arguments,
)
from gan_tune.searching.populations.population import POPULATIONS
from gan_tune.searching.rules.stopping import SCHEDULERS
from gan_tune.searching.study.samplers import SAMPLERS
from gan_tune.words.wording import in_one_line, must_be_one_of, shown

__all__ = ["catalogue", "dataset_of", "judge_of"]

LAZY = Argument("every", EVERY, required=False, default=1)
"""The argument `every` of all discriminator penalties."""

SMALL = 4_000_000
"""Weights of a network that is checked on the CPU."""
_SOUND: set[str] = set()
"""Shipped networks that have been built without a fault, with all that this hangs on, as JSON."""


@cache
def catalogue() -> Catalogue:
    """The catalogue of all parts that a space file can name."""
    return Catalogue(
        parts={
            "data": {
                name: training_arguments(name) | signature_arguments(part)
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
        build=_build_faults,
        check_objective=_broken_rule_of_objective,
        check_data=_data_fault,
    )


def _penalty_arguments(name: str) -> dict[str, Argument]:
    penalty = PENALTIES[name]
    lazy = {LAZY.name: LAZY} if penalty.takes == "discriminator" else {}
    return signature_arguments(penalty.function) | lazy


def _signatures(parts: Mapping[str, Callable[..., Any]]) -> dict[str, dict[str, Argument]]:
    return {name: signature_arguments(part) for name, part in parts.items()}


@cache
def _user_part(kind: str, name: str) -> Mapping[str, Argument]:
    """The arguments of a user's own network or data set, named by its import path.

    Raises:
        KeyError: it cannot be used; the message is the broken rule.
    """
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


def _build_faults(config: TrialConfig) -> list[Fault]:
    """The faults that show only when the trial's networks are built, run and trained a step."""
    faults = list(_network_faults(config))
    if not faults and all(may_be_built(config, role) for role in NETWORKS):
        faults += _training_faults(config)
    return [*faults, *_metric_faults(config)]


def _training_faults(config: TrialConfig) -> Sequence[Fault]:
    try:
        return training_faults(config, dataset_of(config.data), _shipped)
    except DataError:
        return ()  # a separate fault


def _shipped(role: str, args: Mapping[str, Any]) -> Part:
    """The plainest shipped network of a role."""
    name = next(iter(NETWORKS[role]))
    part: Part = catalogue().resolve(role, {"name": name, **args}, role, [])
    return part


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
        if part.name == "none" or not may_be_built(config, role):
            continue
        network = json.dumps([role, part.tree(), shape, latent, config.wanted_metrics], default=str)
        if network in _SOUND:
            continue
        # A large one on the meta device, which needs no memory but PyTorch's compiler: a second to
        # import. A user's network may fail there only.
        device = "cpu" if _is_small(role, part, shape, latent) else "meta"
        faults = list(_faults_of_network(role, part, config, shape, latent, device=device))
        if faults and is_users_own(config, role):
            faults = list(_faults_of_network(role, part, config, shape, latent, device="cpu"))
        yield from faults
        if role == "generator" and is_users_own(config, role) and not faults:
            yield from _export_faults(role, part, shape)
        if not faults and not is_users_own(config, role):
            _SOUND.add(network)


def _faults_of_network(
    role: str, part: Part, config: TrialConfig, shape: tuple[int, ...], latent: int, *, device: str
) -> Iterator[Fault]:
    input_shape, output_shape = {
        "generator": ((latent,), shape),
        "discriminator": (shape, (1,)),
        "encoder": (shape, (latent,)),
    }[role]
    with torch.device(device), torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            code = latent if role == "encoder" else None
            with raising_exceptions():
                network = build_network(role, shape, name=part.name, args=part.args, code=code)
            if (rule := _broken_rule_of_module(network)) is not None:
                yield Fault(role, rule, part.name)
                return
            for batch in (3, 2):
                with raising_exceptions():
                    output = network(torch.zeros(batch, *input_shape))
                if not isinstance(output, Tensor):
                    yield Fault(role, "must return a tensor", type(output).__name__)
                    return
                found, expected = tuple(output.shape), (batch, *output_shape)
                if found != expected:
                    rule = f"must map {(batch, *input_shape)} to {expected}"
                    yield Fault(role, rule, f"{found}")
                    return
                if output.dtype != torch.float32:
                    yield Fault(role, "must give float32", str(output.dtype))
                    return
            if role == "discriminator":
                yield from _probe_faults(config, network, torch.zeros(3, *input_shape))
        except Exception as error:  # a user's network may raise anything
            rule = f"cannot be built and run for samples of shape {shape}"
            yield Fault(role, rule, in_one_line(error))
            return


def _is_small(role: str, part: Part, shape: tuple[int, ...], latent: int) -> bool:
    """Whether a shipped network has so few weights that a pass on the CPU takes milliseconds."""
    if ":" in part.name:
        return False
    # Norms have next to no weights, and spectral ones would be drawn, on the meta device, too.
    args = {name: given for name, given in part.args.items() if name != "norm"}
    try:
        with torch.device("meta"), torch.random.fork_rng(devices=[]):
            code = latent if role == "encoder" else None
            network = build_network(role, shape, name=part.name, args=args, code=code)
    except Exception:  # it is stated where the network is checked
        return False
    return sum(parameter.numel() for parameter in network.parameters()) <= SMALL


def _broken_rule_of_module(network: Any) -> str | None:
    """The rule that an instance of a user's class breaks, or None."""
    if not isinstance(network, nn.Module):
        return "must be a torch.nn.Module"
    if any(nn.parameter.is_lazy(parameter) for parameter in network.parameters()):
        return "must know its sizes from the start: no lazy layers"
    if not any(parameter.requires_grad for parameter in network.parameters()):
        return "must have parameters to train"
    if any(parameter.is_complex() for parameter in network.parameters()):
        return "must have real weights: complex ones cannot be trained"
    return None


@once_per_network
def _export_faults(role: str, part: Part, shape: tuple[int, ...]) -> Sequence[Fault]:
    """The faults that would prevent the registration of a generator."""
    # torch.export takes over a second to import, which searches of shipped parts need not wait for.
    from gan_tune.model.export import check_exportable

    try:
        built_and_asked(role, part, shape, partial(check_exportable, latent=part.args["latent"]))
    except Exception as error:  # torch, or a user's network, may raise anything
        rule = "cannot be exported: torch.export must take it for any batch size"
        return [Fault(role, rule, in_one_line(error))]
    return []


def _probe_faults(config: TrialConfig, network: nn.Module, samples: Tensor) -> Iterator[Fault]:
    """Requested metrics of the discriminator's `features`, if it has no usable ones."""
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


def _broken_rule_of_objective(objective: Objective, data: Part) -> str | None:
    """The rule that an objective breaks on this data, or None."""
    try:
        dataset = dataset_of(data)
    except DataError:
        return None  # missing data are a separate fault
    valid = metric_names(dataset)
    if objective.metric not in valid:
        return must_be_one_of(f"metric for {data.name}", objective.metric, valid)
    if objective.metric in BEST_NEAR_ONE:
        return f"{objective.metric} is best near 1, neither low nor high: no objective"
    mixture = dataset.mixture
    if objective.metric in NEED_SEVERAL_MODES and mixture and len(mixture.modes) == 1:
        return f"{objective.metric} needs several modes, and {data.name} has one"
    mode = METRICS[objective.metric].mode
    return None if objective.mode == mode else f"mode must be {mode} for {objective.metric}"


def _data_fault(data: Part) -> Fault | None:
    try:
        check_arguments(data.name, **own_arguments(data))
        dataset_of(data)
    except DataError as error:
        return Fault("data", str(error))
    return None
