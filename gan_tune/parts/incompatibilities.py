"""Parts that make no sound trial together, and combinations that the literature advises against.

At the end, the same for a search: what its sampler cannot do, what has no meaning.

A search space that can sample the former is refused when it is checked; the latter is allowed with
a warning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial

from gan_tune.config import Incompatibility, Part, Ranged, SearchRule, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.errors import DataError
from gan_tune.gan.estimators import OBSTACLES
from gan_tune.gan.game import PLAYERS
from gan_tune.gan.penalties import PENALTIES, applies_to
from gan_tune.metrics import METRICS
from gan_tune.parts.network_traits import anatomy, is_own
from gan_tune.parts.trial_data import dataset_of
from gan_tune.space.ranges import Choice, NumberRange

__all__ = [
    "ADVICE",
    "INCOMPATIBILITIES",
    "SEARCH_ADVICE",
    "SEARCH_REFUSALS",
]

GRADIENT_PENALTIES = frozenset(
    name for name, penalty in PENALTIES.items() if penalty.of == "discriminator"
)

LEAST_MEAN_ACTIVITY = {"relu": 1 / 2, "elu": 1 / (1 + math.e), "tanh": 1 / (1 + math.e)}
"""Infimum of σ(h) over the range of an activation: h > 0, or h > −1; 0 for the others."""

GENERATOR_COSTS = frozenset(
    name for name, metric in METRICS.items() if metric.model == "generator_cost"
)
"""Metrics that the generator's layers alone decide."""


def _penalised(config: TrialConfig) -> bool:
    """Whether a penalty looks at the discriminator's slope."""
    return any(part.name in GRADIENT_PENALTIES for part in config.penalties)


def _paired(config: TrialConfig) -> bool:
    """Whether the loss compares each real logit with a fake one."""
    return config.loss.name == "relativistic"


def _has_penalty(config: TrialConfig, player: str) -> bool:
    return any(applies_to(PENALTIES[p.name], dict(p.args), player) for p in config.penalties)


def _norm(config: TrialConfig, player: str) -> str:
    return str(getattr(config, player).args.get("norm", "none"))


def _estimated(config: TrialConfig, player: str) -> bool:
    return bool(getattr(config, f"{player}_gradient").name != "backprop")


def _own_has_batch_norm(config: TrialConfig) -> bool:
    """Whether a user's own discriminator has batch norm: ours say so by their argument `norm`."""
    found = anatomy(config, "discriminator") if is_own(config, "discriminator") else None
    return found is not None and found.batch_norm


def _has_obstacle(config: TrialConfig, player: str, network: str, reason: str) -> bool:
    """Whether an estimate of a player's gradient is refused by what a user's own network is."""
    if not (_estimated(config, player) and is_own(config, network)):
        return False
    found = anatomy(config, network)
    return found is not None and found.obstacle == reason


def _own_has_spectral_norm(config: TrialConfig) -> bool:
    found = anatomy(config, "discriminator") if is_own(config, "discriminator") else None
    return found is not None and found.spectral_norm


def _sees_no_activations(config: TrialConfig) -> bool:
    """Whether a penalty looks at activations of a generator that has none."""
    if not any(PENALTIES[part.name].of == "activations" for part in config.penalties):
        return False
    found = anatomy(config, "generator")
    return found is not None and not found.activations


def _sample(config: TrialConfig) -> tuple[int, ...]:
    """The shape of one sample: (D,) of points, (C, H, W) of pictures, () of missing data."""
    try:
        return dataset_of(config.data).shape
    except DataError:
        return ()  # a fault of its own


def _is_points(config: TrialConfig) -> bool:
    return len(_sample(config)) == 1


def _is_pictures(config: TrialConfig) -> bool:
    return len(_sample(config)) == 3


def _beyond(config: TrialConfig, low: float, high: float) -> bool:
    """Whether points lie outside of low..high."""
    try:
        least, most = _extent(dataset_of(config.data))
    except DataError:
        return False
    return _is_points(config) and not low <= least <= most <= high


@lru_cache(maxsize=8)
def _extent(dataset: Dataset) -> tuple[float, float]:
    return float(dataset.train.min()), float(dataset.train.max())


def _output(config: TrialConfig) -> str:
    return str(config.generator.args.get("output"))


def _lazy(config: TrialConfig) -> bool:
    return any(part.args.get("every", 1) > 1 for part in config.penalties)


def _out_of_reach(config: TrialConfig) -> bool:
    """Whether a penalty asks the generator's activations for less than they can be."""
    least = LEAST_MEAN_ACTIVITY.get(str(config.generator.args.get("activation")), 0.0)
    return any(p.name == "activation_kl" and p.args["target"] < least for p in config.penalties)


def _stands_still(config: TrialConfig, player: str) -> bool:
    """Whether an optimizer is to look ahead along a momentum that it has not."""
    args = getattr(config, f"{player}_optimizer").args
    return bool(args.get("nesterov")) and args["momentum"] == 0


def _climbs_to_the_end(config: TrialConfig, player: str) -> bool:
    return bool(getattr(config, f"{player}_schedule").args.get("warm_up", 0) >= config.steps)


def _k_exceeds_code(config: TrialConfig) -> bool:
    latent = config.generator.args.get("latent")
    k = config.sparsity.args.get("k")
    return isinstance(latent, int) and isinstance(k, int) and k > latent


PENALISED_BATCH = (
    "batch norm ties a sample's gradient to the others in its batch, which a gradient penalty "
    "takes one by one (use none or spectral)"
)
PAIRED_BATCH = (
    "batch norm takes real and fake apart, and relativistic logits are compared in pairs "
    "(use none or spectral)"
)


def _rule(
    one: str, other: str, reason: str, clash: Callable[[TrialConfig], bool]
) -> Incompatibility:
    return Incompatibility((one, other), reason, clash)


def _estimates(player: str, *networks: str) -> tuple[Incompatibility, ...]:
    """Rules of an estimate of a player's gradient, whose copies pass through ``networks``."""
    gradient = f"{player}_gradient"
    return (
        *(rule for network in networks for rule in _fixed(gradient, player, network)),
        _rule(
            gradient,
            "penalties",
            "an estimate is of the adversarial loss alone; penalties need backprop",
            lambda c: _estimated(c, player) and _has_penalty(c, player),
        ),
        _rule(
            gradient,
            "matmul_precision",
            "rounded products leave nothing of a small difference of values (use highest)",
            lambda c: _estimated(c, player) and c.matmul_precision != "highest",
        ),
    )


def _fixed(gradient: str, player: str, network: str) -> tuple[Incompatibility, ...]:
    """A network must be the same function in each pass of an estimate, and a precise one."""
    return (
        _rule(
            gradient,
            f"{network}.norm",
            "batch and spectral norm change with each pass, and an estimate passes many copies "
            "through (use none)",
            lambda c: _estimated(c, player) and _norm(c, network) in ("batch", "spectral"),
        ),
        *(
            _rule(
                gradient,
                network,
                reason,
                partial(_has_obstacle, player=player, network=network, reason=reason),
            )
            for reason in OBSTACLES
        ),
    )


INCOMPATIBILITIES: tuple[Incompatibility, ...] = (
    _rule(
        "generator.output",
        "data.scale",
        "sigmoid reaches only 0..1, but scaled data go below 0 (use tanh or linear)",
        lambda c: _output(c) == "sigmoid" and (c.data.args["scale"] != "none" or _beyond(c, 0, 1)),
    ),
    _rule(
        "generator.output",
        "data.scale",
        "tanh reaches only -1..1, but standardised data go beyond (use linear, or symmetric)",
        lambda c: _output(c) == "tanh" and c.data.args["scale"] == "standard",
    ),
    _rule(
        "generator.output",
        "data.scale",
        "tanh reaches only -1..1, but unscaled points go beyond (use linear, or symmetric)",
        lambda c: _output(c) == "tanh" and c.data.args["scale"] == "none" and _beyond(c, -1, 1),
    ),
    _rule(
        "discriminator.norm",
        "penalties",
        PENALISED_BATCH,
        lambda c: _norm(c, "discriminator") == "batch" and _penalised(c),
    ),
    _rule(
        "discriminator.norm",
        "loss",
        PAIRED_BATCH,
        lambda c: _norm(c, "discriminator") == "batch" and _paired(c),
    ),
    _rule(
        "discriminator",
        "penalties",
        PENALISED_BATCH,
        lambda c: _penalised(c) and _own_has_batch_norm(c),
    ),
    _rule("discriminator", "loss", PAIRED_BATCH, lambda c: _paired(c) and _own_has_batch_norm(c)),
    _rule(
        "penalties",
        "generator",
        "activation penalties look at activation layers (torch.nn modules), and the generator has "
        "none",
        _sees_no_activations,
    ),
    _rule(
        "penalties",
        "data",
        "a lazy penalty (every > 1) does not hold small 2-D games together (use every: 1)",
        lambda c: _lazy(c) and _sample(c) == (2,),
    ),
    _rule(
        "augment",
        "data",
        "points have no pixels to change (use instance_noise)",
        lambda c: c.augment.name != "none" and _is_points(c),
    ),
    _rule(
        "sparsity.k",
        "generator.latent",
        "k must be at most the code's size, which is the generator's latent",
        _k_exceeds_code,
    ),
    _rule(
        "sparsity",
        "encoder.output",
        "kl asks for a small mean of sigmoid(h), but of a rectified code that is at least 1/2 "
        "(use linear)",
        lambda c: c.sparsity.name == "kl" and c.encoder.args.get("output") == "relu",
    ),
    _rule(
        "sparsity",
        "encoder",
        "there is no code to be sparse without an encoder",
        lambda c: c.sparsity.name != "none" and c.encoder.name == "none",
    ),
    # G's loss is D's verdict: each copy of G passes its samples through D.
    *_estimates("generator", "generator", "discriminator"),
    *_estimates("discriminator", "discriminator"),
    _rule(
        "generator_gradient",
        "encoder",
        "an autoencoder needs backprop",
        lambda c: _estimated(c, "generator") and c.encoder.name != "none",
    ),
    _rule(
        "generator_gradient",
        "augment",
        "each perturbed copy would be augmented in another way",
        lambda c: _estimated(c, "generator") and c.augment.name != "none",
    ),
    _rule(
        "generator_gradient",
        "instance_noise",
        "each perturbed copy would get noise of its own",
        lambda c: _estimated(c, "generator") and c.instance_noise.std > 0,
    ),
)

ADVICE: tuple[Incompatibility, ...] = (
    _rule(
        "loss",
        "penalties",
        "wasserstein wants a critic of bounded slope: weight_clip, a gradient penalty or spectral "
        "norm (Arjovsky et al. 2017)",
        lambda c: (
            c.loss.name == "wasserstein"
            and not c.weight_clip
            and not _penalised(c)
            and _norm(c, "discriminator") != "spectral"
            and not _own_has_spectral_norm(c)
        ),
    ),
    _rule(
        "weight_clip",
        "penalties",
        "a gradient penalty replaces weight clipping (Gulrajani et al. 2017)",
        lambda c: bool(c.weight_clip) and _penalised(c),
    ),
    _rule(
        "weight_clip",
        "discriminator.norm",
        "spectral norm divides by the largest singular value, whatever the clipped weights are",
        lambda c: bool(c.weight_clip) and _norm(c, "discriminator") == "spectral",
    ),
    _rule(
        "loss",
        "discriminator_optimizer.beta1",
        "Adam's momentum makes a weight-clipped critic unstable (Arjovsky et al. 2017, section 4; "
        "use rmsprop or beta1: 0)",
        lambda c: (
            c.loss.name == "wasserstein"
            and bool(c.weight_clip)
            and c.discriminator_optimizer.args.get("beta1", 0) > 0
        ),
    ),
    _rule(
        "generator.output",
        "data.scale",
        "tanh reaches -1..1, and unscaled pictures fill only 0..1 of it (use sigmoid, or scale: "
        "symmetric)",
        lambda c: _output(c) == "tanh" and c.data.args["scale"] == "none" and _is_pictures(c),
    ),
    _rule(
        "augment",
        "data.scale",
        "diffaugment's brightness of ±½ and its fill of zero are meant for pictures in -1..1 (use "
        "scale: symmetric)",
        lambda c: (
            c.augment.name == "diffaugment"
            and c.data.args["scale"] != "symmetric"
            and _is_pictures(c)
        ),
    ),
    _rule(
        "sparsity",
        "encoder.output",
        "l1 makes the values of a linear code small, not zero (use relu, or k_sparse)",
        lambda c: c.sparsity.name == "l1" and c.encoder.args.get("output") == "linear",
    ),
    _rule(
        "penalties",
        "generator.activation",
        "activation_kl asks for a mean of sigmoid(h) near its target, but that of relu is at least "
        "0.5, of elu and tanh 0.27 (use leaky_relu, or activation_l1)",
        _out_of_reach,
    ),
    _rule(
        "matmul_precision",
        "data",
        "products rounded to two or three digits blur what is narrow in points (use highest)",
        lambda c: c.matmul_precision != "highest" and _is_points(c),
    ),
    *(
        _rule(
            f"{player}_optimizer.nesterov",
            f"{player}_optimizer.momentum",
            "nesterov looks ahead along the momentum, and without one it is plain sgd (0.9 is "
            "usual)",
            partial(_stands_still, player=player),
        )
        for player in PLAYERS
    ),
    *(
        _rule(
            f"{player}_schedule.warm_up",
            "steps",
            "the rate still climbs when the training is over (warm up for a small part of "
            "budget.steps)",
            partial(_climbs_to_the_end, player=player),
        )
        for player in PLAYERS
    ),
)


def _choices(ranges: Sequence[Ranged]) -> bool:
    return any(isinstance(one, Choice) for one in ranges)


def _conditional(ranges: Sequence[Ranged]) -> bool:
    return any(one.conditions for one in ranges)


def _numbers(ranges: Sequence[Ranged]) -> list[NumberRange]:
    return [one for one in ranges if isinstance(one, NumberRange)]


def _generator_varies(ranges: Sequence[Ranged]) -> bool:
    """Whether a range lies below the generator, or is a choice that may have it in its options."""
    return any(one.field in ("generator", "") for one in ranges)


def _has_rungs(*, grace: float, reduction: int, **_: object) -> bool:
    return grace * math.sqrt(reduction) <= 1


SEARCH_REFUSALS: tuple[SearchRule, ...] = (
    SearchRule(
        ("search.sampler", "trial"),
        "cmaes needs the same ranges of numbers in every setting, and here some are there only "
        "below an option of a choice (use tpe)",
        lambda s: s.sampler.name == "cmaes" and _conditional(_numbers(s.ranges)),
    ),
    SearchRule(
        ("search.sampler", "trial"),
        "cmaes needs ranges of numbers, and here are none (use tpe)",
        lambda s: s.sampler.name == "cmaes" and not _numbers(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "objective"),
        "cmaes follows one objective (use tpe or gp)",
        lambda s: s.sampler.name == "cmaes" and len(s.objectives) > 1,
    ),
    SearchRule(
        ("search.sampler", "search.scheduler"),
        "a population draws its first settings at random and breeds the others (leave the sampler "
        "out)",
        lambda s: s.bred and s.sampler_given,
    ),
    SearchRule(
        ("search.scheduler", "objective"),
        "a population goes by one objective (use asha or none)",
        lambda s: s.bred and len(s.objectives) > 1,
    ),
    SearchRule(
        ("search.scheduler", "search.seeds"),
        "a fork goes on from the weights of one run, and replicates are several (leave seeds out)",
        lambda s: s.bred and s.seeds > 1,
    ),
    SearchRule(
        ("search.prune_on", "search.scheduler"),
        "it says by which objective trials are stopped, and none stops no trial (use asha or "
        "median, or leave prune_on out)",
        lambda s: s.prune_on is not None and s.scheduler.name == "none",
    ),
    SearchRule(
        ("search.scheduler.grace", "search.scheduler.reduction"),
        "asha stops nobody who has come within a factor of √reduction of the end, so it would "
        "never stop anybody (use a smaller grace, or scheduler: none)",
        lambda s: s.scheduler.name == "asha" and not _has_rungs(**s.scheduler.args),
    ),
    SearchRule(
        ("objective", "trial"),
        "the generator costs the same in every setting where nothing of it is searched, so nothing "
        "tells which one is best (put ranges below generator, or take another metric first)",
        lambda s: s.objectives[0] in GENERATOR_COSTS and not _generator_varies(s.ranges),
    ),
)

SEARCH_ADVICE: tuple[SearchRule, ...] = (
    SearchRule(
        ("search.sampler", "trial"),
        "cmaes draws the options of a choice at random and learns nothing of them (use tpe or gp)",
        lambda s: s.sampler.name == "cmaes" and _choices(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "trial"),
        "gp draws at random what is there only below an option of a choice (use tpe)",
        lambda s: s.sampler.name == "gp" and _conditional(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "trial"),
        "qmc spreads evenly only over the ranges of the first setting; what is there only below "
        "another option of a choice is drawn at random (use random or tpe)",
        lambda s: s.sampler.name == "qmc" and _conditional(s.ranges),
    ),
    SearchRule(
        ("search.sampler", "search.scheduler"),
        "gp learns only from trials that ran their full length, and a scheduler leaves few of them "
        "(use scheduler: none, or tpe)",
        lambda s: s.sampler.name == "gp" and s.scheduler.name != "none",
    ),
    SearchRule(
        ("search.sampler", "search.scheduler"),
        "cmaes with pruned: false learns only from trials that ran their full length, and a "
        "scheduler leaves few of them",
        lambda s: _leaves_out_pruned(s.sampler) and s.scheduler.name != "none",
    ),
    SearchRule(
        ("start_from", "budget.trials"),
        "there are more settings to start from than trials; the last ones are tried only once the "
        "search is given more trials",
        lambda s: s.starts > s.trials,
    ),
    SearchRule(
        ("objective", "trial"),
        "the generator costs the same in every setting where nothing of it is searched, so as an "
        "objective it says nothing (put ranges below generator)",
        lambda s: bool(GENERATOR_COSTS & {*s.objectives[1:]}) and not _generator_varies(s.ranges),
    ),
)


def _leaves_out_pruned(sampler: Part) -> bool:
    return sampler.name == "cmaes" and not sampler.args["pruned"]
