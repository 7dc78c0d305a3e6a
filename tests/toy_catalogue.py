"""A small catalogue of parts, with no torch behind it, for the tests of spaces and configs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from gan_tune.config import (
    Argument,
    Catalogue,
    Incompatibility,
    Objective,
    Part,
    TrialConfig,
    signature_arguments,
)
from gan_tune.errors import Fault

Positive = Annotated[float, Gt(0)]
Share = Annotated[float, Ge(0), Lt(1)]
Count = Annotated[int, Ge(1)]
Widths = Annotated[tuple[Count, ...], MinLen(1)]


def fashion_mnist(*, batch_size: Annotated[int, Ge(1), Le(4096)] = 64) -> None: ...


def image_folder(*, root: str, size: Count = 64, batch_size: Count = 64) -> None: ...


def ring(*, modes: Count = 8, batch_size: Count = 64) -> None: ...


def mlp_generator(
    *,
    latent: Count = 100,
    hidden: Widths = (128, 256),
    output: Literal["sigmoid", "tanh", "linear"] = "sigmoid",
    norm: Literal["none", "batch"] = "none",
) -> None: ...


def conv(*, width: Annotated[int, Ge(8)] = 32, attention: bool = False) -> None: ...


def mlp_discriminator(
    *,
    hidden: Widths = (256, 128),
    norm: Literal["none", "batch", "spectral"] = "none",
    dropout: Share = 0.0,
) -> None: ...


def plain() -> None: ...


def adam(*, lr: Positive = 2e-4, beta1: Share = 0.5, beta2: Share = 0.999) -> None: ...


def sgd(*, lr: Positive, momentum: Share = 0.0) -> None: ...


def norm(*, max_norm: Positive) -> None: ...


def constant(*, warm_up: Annotated[int, Ge(0)] = 0) -> None: ...


def guided(seed: int, *, startup: Annotated[int, Ge(0)] = 10, joint: bool = True) -> None: ...


def halving(
    steps: int,
    *,
    reduction: Annotated[int, Ge(2)] = 3,
    grace: Annotated[float, Gt(0), Lt(1)] = 0.15,
) -> None: ...


def weighted(*, weight: Positive = 10.0) -> None: ...


PARTS: dict[str, dict[str, Any]] = {
    "data": {"fashion_mnist": fashion_mnist, "image_folder": image_folder, "ring": ring},
    "generator": {"mlp": mlp_generator, "conv": conv},
    "discriminator": {"mlp": mlp_discriminator, "conv": conv},
    "loss": dict.fromkeys(("non_saturating", "least_squares", "hinge", "wasserstein"), plain),
    "penalty": {"none": plain, "r1": weighted, "gradient_penalty": weighted},
    "optimizer": {"adam": adam, "sgd": sgd},
    "gradient_clip": {"none": plain, "norm": norm},
    "gradient": {"backprop": plain},
    "schedule": {"constant": constant},
    "update": {"alternating": plain},
    "augment": {"none": plain},
    "encoder": {"none": plain},
    "sparsity": {"none": plain},
    "sampler": {"tpe": guided, "random": plain},
    "scheduler": {"asha": halving, "none": plain},
}


def _batch_norm_with_penalty(config: TrialConfig) -> bool:
    return config.discriminator.args.get("norm") == "batch" and bool(config.penalties)


def _both_conv_with_attention(config: TrialConfig) -> bool:
    generator = config.generator
    return bool(generator.args.get("attention")) and generator.args.get("width", 0) > 64


INCOMPATIBILITIES = (
    Incompatibility(
        fields=("discriminator.norm", "penalties"),
        reason="a penalty is on single samples, batch norm ties a batch together",
        clash=_batch_norm_with_penalty,
    ),
    Incompatibility(
        fields=("generator.attention", "generator.width"),
        reason="attention over so many maps does not fit the memory",
        clash=_both_conv_with_attention,
    ),
)


class CountedBuild:
    """Conv networks need pictures; counts how often it was asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, config: TrialConfig) -> list[Fault]:
        self.calls += 1
        if config.generator.name == "conv" and config.data.name == "ring":
            return [Fault("generator", "makes pictures, but the data are points")]
        if len(config.generator.args.get("hidden", ())) > 3:
            return [Fault("generator.hidden", "has more layers than the toy can build")]
        return []


def _load(kind: str, name: str) -> dict[str, Argument]:
    if name != "mine:Net":
        raise KeyError("the import path leads to nothing")

    def net(shape: tuple[int, ...], latent: int, width: int = 8, anything=None) -> None: ...

    return signature_arguments(net, skip=1)


def _check_objective(objective: Objective, data: Part) -> str | None:
    known = ["modes_covered"] if data.name == "ring" else ["frechet_distance", "kernel_distance"]
    if objective.metric in known:
        right = "min"
        return None if objective.mode == right else f"mode must be {right}"
    return f"a metric of {data.name} must be one of {', '.join(known)}"


def _check_data(data: Part) -> Fault | None:
    if data.args.get("root") == "missing":
        return Fault("data.root", "no such folder", repr(data.args["root"]))
    return None


def toy_catalogue() -> Catalogue:
    """A fresh catalogue, whose build counts from 0."""
    return Catalogue(
        parts={
            kind: {name: signature_arguments(part) for name, part in parts.items()}
            for kind, parts in PARTS.items()
        },
        incompatibilities=INCOMPATIBILITIES,
        load=_load,
        build=CountedBuild(),
        check_objective=_check_objective,
        check_data=_check_data,
    )
