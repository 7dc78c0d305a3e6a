"""Combinations of parts that are no sound trial.

A search space that can sample such a pair is refused when it is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from gan_tune.config import Incompatibility, TrialConfig
from gan_tune.gan.estimators import OBSTACLES
from gan_tune.parts.predicates import (
    compares_pairs,
    has_lazy_penalty,
    has_obstacle,
    has_penalty,
    is_estimated,
    is_pictures,
    is_points,
    k_exceeds_code,
    norm_of,
    output_of,
    penalises_slope,
    points_lie_beyond,
    sample_shape,
    sees_no_activations,
    users_own_has_batch_norm,
)

__all__ = ["INCOMPATIBILITIES", "rule"]

PENALISED_BATCH = (
    "batch norm ties a sample's gradient to the others in its batch, which a gradient penalty "
    "takes one by one (use none or spectral)"
)
PAIRED_BATCH = (
    "batch norm takes real and fake apart, and relativistic logits are compared in pairs "
    "(use none or spectral)"
)


def rule(
    one: str, other: str, reason: str, clash: Callable[[TrialConfig], bool]
) -> Incompatibility:
    """A rule between two places of a trial config."""
    return Incompatibility((one, other), reason, clash)


def _estimates(player: str, *networks: str) -> tuple[Incompatibility, ...]:
    """Rules for the estimate of a player's gradient, whose copies pass through ``networks``."""
    gradient = f"{player}_gradient"
    return (
        *(rule for network in networks for rule in _fixed(gradient, player, network)),
        rule(
            gradient,
            "penalties",
            "estimators differentiate the adversarial loss only; penalties need backprop",
            lambda c: is_estimated(c, player) and has_penalty(c, player),
        ),
        rule(
            gradient,
            "matmul_precision",
            "rounding of matrix products hides small differences of the loss (use highest)",
            lambda c: is_estimated(c, player) and c.matmul_precision != "highest",
        ),
        rule(
            gradient,
            "precision",
            "bfloat16 leaves nothing of a small difference of values (use float32 or auto)",
            lambda c: is_estimated(c, player) and c.precision == "bfloat16",
        ),
    )


def _fixed(gradient: str, player: str, network: str) -> tuple[Incompatibility, ...]:
    """A network must be the same function in each pass of an estimate, and a precise one."""
    return (
        rule(
            gradient,
            f"{network}.norm",
            "batch and spectral norm change with each pass, and an estimate passes many copies "
            "through (use none)",
            lambda c: is_estimated(c, player) and norm_of(c, network) in ("batch", "spectral"),
        ),
        *(
            rule(
                gradient,
                network,
                reason,
                partial(has_obstacle, player=player, network=network, reason=reason),
            )
            for reason in OBSTACLES
        ),
    )


INCOMPATIBILITIES: tuple[Incompatibility, ...] = (
    rule(
        "data.scale",
        "data.name",
        "by_column is for points and tables; pictures take symmetric, standard or none",
        lambda c: c.data.args["scale"] == "by_column" and is_pictures(c),
    ),
    rule(
        "generator.output",
        "data.scale",
        "sigmoid reaches only 0..1, but scaled data go below 0 (use tanh or linear)",
        lambda c: (
            output_of(c) == "sigmoid"
            and (c.data.args["scale"] != "none" or points_lie_beyond(c, 0, 1))
        ),
    ),
    rule(
        "generator.output",
        "data.scale",
        "tanh reaches only -1..1, but standardised data go beyond (use linear, or symmetric)",
        lambda c: output_of(c) == "tanh" and c.data.args["scale"] == "standard",
    ),
    rule(
        "generator.output",
        "data.scale",
        "tanh reaches only -1..1, but columns like N(0, 1) go beyond (use linear, or symmetric)",
        lambda c: output_of(c) == "tanh" and c.data.args["scale"] == "by_column",
    ),
    rule(
        "data.scale",
        "data.name",
        "by_column is for points and tables; pictures take symmetric, standard or none",
        lambda c: c.data.args["scale"] == "by_column" and is_pictures(c),
    ),
    rule(
        "generator.output",
        "data.scale",
        "tanh reaches only -1..1, but unscaled points go beyond (use linear, or symmetric)",
        lambda c: (
            output_of(c) == "tanh"
            and c.data.args["scale"] == "none"
            and points_lie_beyond(c, -1, 1)
        ),
    ),
    rule(
        "discriminator.norm",
        "penalties",
        PENALISED_BATCH,
        lambda c: norm_of(c, "discriminator") == "batch" and penalises_slope(c),
    ),
    rule(
        "discriminator.norm",
        "loss",
        PAIRED_BATCH,
        lambda c: norm_of(c, "discriminator") == "batch" and compares_pairs(c),
    ),
    rule(
        "discriminator",
        "penalties",
        PENALISED_BATCH,
        lambda c: penalises_slope(c) and users_own_has_batch_norm(c),
    ),
    rule(
        "discriminator",
        "loss",
        PAIRED_BATCH,
        lambda c: compares_pairs(c) and users_own_has_batch_norm(c),
    ),
    rule(
        "penalties",
        "generator",
        "activation penalties look at activation layers (torch.nn modules), and the generator has "
        "none",
        sees_no_activations,
    ),
    rule(
        "penalties",
        "data",
        "a lazy penalty (every > 1) does not hold small 2-D games together (use every: 1)",
        lambda c: has_lazy_penalty(c) and sample_shape(c) == (2,),
    ),
    rule(
        "precision",
        "data",
        "values of two or three digits blur what is narrow in points (use float32 or auto)",
        lambda c: c.precision == "bfloat16" and is_points(c),
    ),
    rule(
        "augment",
        "data",
        "points have no pixels to change (use instance_noise)",
        lambda c: c.augment.name != "none" and is_points(c),
    ),
    rule(
        "sparsity.k",
        "generator.latent",
        "k must be at most the code's size, which is the generator's latent",
        k_exceeds_code,
    ),
    rule(
        "sparsity",
        "encoder.output",
        "kl asks for a small mean of sigmoid(h), but of a rectified code that is at least 1/2 "
        "(use linear)",
        lambda c: c.sparsity.name == "kl" and c.encoder.args.get("output") == "relu",
    ),
    rule(
        "sparsity",
        "encoder",
        "there is no code to be sparse without an encoder",
        lambda c: c.sparsity.name != "none" and c.encoder.name == "none",
    ),
    # G's loss depends on D: the samples of each copy of G pass through D.
    *_estimates("generator", "generator", "discriminator"),
    *_estimates("discriminator", "discriminator"),
    rule(
        "generator_gradient",
        "encoder",
        "an autoencoder needs backprop",
        lambda c: is_estimated(c, "generator") and c.encoder.name != "none",
    ),
    rule(
        "generator_gradient",
        "augment",
        "each perturbed copy would be augmented in another way",
        lambda c: is_estimated(c, "generator") and c.augment.name != "none",
    ),
    rule(
        "generator_gradient",
        "instance_noise",
        "each perturbed copy would get noise of its own",
        lambda c: is_estimated(c, "generator") and c.instance_noise.std > 0,
    ),
)
