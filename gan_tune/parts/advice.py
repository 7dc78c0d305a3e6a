"""Combinations of parts that the literature advises against: allowed, with a warning."""

from __future__ import annotations

from functools import partial

from gan_tune.config import Incompatibility
from gan_tune.gan.players import PLAYERS
from gan_tune.parts.incompatibilities import rule
from gan_tune.parts.predicates import (
    activity_is_out_of_reach,
    is_pictures,
    is_points,
    looks_ahead_without_momentum,
    norm_of,
    output_of,
    penalises_slope,
    users_own_has_spectral_norm,
    warms_up_to_the_end,
)

__all__ = ["ADVICE"]

ADVICE: tuple[Incompatibility, ...] = (
    rule(
        "loss",
        "penalties",
        "wasserstein wants a critic of bounded slope: weight_clip, a gradient penalty or spectral "
        "norm (Arjovsky et al. 2017)",
        lambda c: (
            c.loss.name == "wasserstein"
            and not c.weight_clip
            and not penalises_slope(c)
            and norm_of(c, "discriminator") != "spectral"
            and not users_own_has_spectral_norm(c)
        ),
    ),
    rule(
        "weight_clip",
        "penalties",
        "a gradient penalty replaces weight clipping (Gulrajani et al. 2017)",
        lambda c: bool(c.weight_clip) and penalises_slope(c),
    ),
    rule(
        "weight_clip",
        "discriminator.norm",
        "spectral norm divides by the largest singular value, whatever the clipped weights are",
        lambda c: bool(c.weight_clip) and norm_of(c, "discriminator") == "spectral",
    ),
    rule(
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
    rule(
        "generator.output",
        "data.scale",
        "tanh reaches -1..1, and unscaled pictures fill only 0..1 of it (use sigmoid, or scale: "
        "symmetric)",
        lambda c: output_of(c) == "tanh" and c.data.args["scale"] == "none" and is_pictures(c),
    ),
    rule(
        "generator.output",
        "data.scale",
        "scale: by_column spreads each column like N(0, 1), which passes -1..1 (use linear)",
        lambda c: output_of(c) == "tanh" and c.data.args["scale"] == "by_column",
    ),
    rule(
        "augment",
        "data.scale",
        "diffaugment's brightness of ±½ and its fill of zero are meant for pictures in -1..1 (use "
        "scale: symmetric)",
        lambda c: (
            c.augment.name == "diffaugment"
            and c.data.args["scale"] != "symmetric"
            and is_pictures(c)
        ),
    ),
    rule(
        "sparsity",
        "encoder.output",
        "l1 makes the values of a linear code small, not zero (use relu, or k_sparse)",
        lambda c: c.sparsity.name == "l1" and c.encoder.args.get("output") == "linear",
    ),
    rule(
        "penalties",
        "generator.activation",
        "activation_kl asks for a mean of sigmoid(h) near its target, but that of relu is at least "
        "0.5, of elu and tanh 0.27 (use leaky_relu, or activation_l1)",
        activity_is_out_of_reach,
    ),
    rule(
        "matmul_precision",
        "data",
        "products rounded to two or three digits blur what is narrow in points (use highest)",
        lambda c: c.matmul_precision != "highest" and is_points(c),
    ),
    *(
        rule(
            f"{player}_optimizer.nesterov",
            f"{player}_optimizer.momentum",
            "nesterov looks ahead along the momentum, and without one it is plain sgd (0.9 is "
            "usual)",
            partial(looks_ahead_without_momentum, player=player),
        )
        for player in PLAYERS
    ),
    *(
        rule(
            f"{player}_schedule.warm_up",
            "steps",
            "the rate still climbs when the training is over (warm up for a small part of "
            "budget.steps)",
            partial(warms_up_to_the_end, player=player),
        )
        for player in PLAYERS
    ),
)
