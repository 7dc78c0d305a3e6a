"""Optimizers by name: thin, annotated wrappers of torch's optimizers, and the subgradient method.

They use the fused or foreach kernels, because a GAN's networks are small: a step takes one launch
instead of one per parameter.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Annotated, TypeVar, cast

import torch
from pydantic import Field
from torch import Tensor

from gan_tune.gan.gradients import VANISHING, total_norm

__all__ = ["OPTIMIZERS", "Subgradient", "adam", "adamw", "rmsprop", "sgd", "subgradient"]

Rate = Annotated[float, Field(gt=0, le=1e30)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Size = Annotated[float, Field(ge=0, le=1e30)]

_Optimizer = TypeVar("_Optimizer", bound=torch.optim.Optimizer)


def _uncompiled(kind: type[_Optimizer]) -> type[_Optimizer]:
    """An optimizer whose methods are not guarded against being compiled.

    The guards have no other effect, but they import PyTorch's compiler. That costs 1.3 s of CPU
    time and 75 MB of memory in each worker.
    """
    bare = {
        "step": torch.no_grad()(inspect.unwrap(kind.step)),
        "add_param_group": inspect.unwrap(kind.add_param_group),
    }
    return cast("type[_Optimizer]", type(kind.__name__, (kind,), bare))


_Adam = _uncompiled(torch.optim.Adam)
_AdamW = _uncompiled(torch.optim.AdamW)
_RMSprop = _uncompiled(torch.optim.RMSprop)
_SGD = _uncompiled(torch.optim.SGD)


def adam(
    parameters: Iterable[Tensor],
    *,
    lr: Rate,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Size = 0.0,
) -> torch.optim.Optimizer:
    """Adam (Kingma and Ba 2015). For GANs a ``beta1`` of 0 to 0.5 is usual.

    ``weight_decay`` is L2, added to the gradient.
    """
    return _Adam(
        parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay, fused=True
    )


def adamw(
    parameters: Iterable[Tensor],
    *,
    lr: Rate,
    beta1: Decay = 0.9,
    beta2: Decay = 0.999,
    eps: Rate = 1e-8,
    weight_decay: Size = 0.01,
) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019): weights decay by lr · ``weight_decay`` a step."""
    return _AdamW(
        parameters, lr=lr, betas=(beta1, beta2), eps=eps, weight_decay=weight_decay, fused=True
    )


def rmsprop(
    parameters: Iterable[Tensor],
    *,
    lr: Rate,
    alpha: Decay = 0.99,
    eps: Rate = 1e-8,
    momentum: Decay = 0.0,
    weight_decay: Size = 0.0,
) -> torch.optim.Optimizer:
    """RMSprop (Hinton 2012). ``alpha`` is the decay of the squared gradients' average."""
    return _RMSprop(
        parameters,
        lr=lr,
        alpha=alpha,
        eps=eps,
        momentum=momentum,
        weight_decay=weight_decay,
        foreach=True,
    )


def sgd(
    parameters: Iterable[Tensor],
    *,
    lr: Rate,
    momentum: Decay = 0.0,
    nesterov: bool = False,
    weight_decay: Size = 0.0,
) -> torch.optim.Optimizer:
    """Stochastic gradient descent.

    ``nesterov`` (Nesterov 1983; Sutskever et al. 2013) needs a ``momentum`` above 0. With a
    momentum of 0 it has no effect, and a warning is given for the space file.

    Note:
        PyTorch refuses ``nesterov`` with momentum 0. Here it is allowed, since a range of momenta
        may begin at 0.
    """
    return _SGD(
        parameters,
        lr=lr,
        momentum=momentum,
        nesterov=nesterov and momentum > 0,
        weight_decay=weight_decay,
        fused=True,
    )


@_uncompiled
class Subgradient(torch.optim.Optimizer):
    """w ← w − α g / ‖g‖, ‖g‖ over a whole parameter group; w ← w − α g if not ``normalised``.

    The subgradient method (Shor 1985; Boyd, Xiao and Mutapcic, "Subgradient methods", 2003). It
    converges for step sizes that tend to 0 but sum to infinity, such as α_t = α_0 / √t. ``lr`` is
    α_0; the schedule ``inverse_sqrt`` divides by √t. It is no descent method, so the best iterate
    counts, not the last. It keeps no state.
    """

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, normalised: bool = True) -> None:
        super().__init__(parameters, {"lr": lr, "normalised": normalised})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            directions = [p.grad for p in moved]
            if group["normalised"]:
                norm = total_norm(directions).clamp(min=VANISHING)
                directions = list(torch._foreach_mul(directions, 1 / norm))
            torch._foreach_sub_(moved, torch._foreach_mul(directions, group["lr"]))
        return loss


def subgradient(
    parameters: Iterable[Tensor], *, lr: Rate, normalised: bool = True
) -> torch.optim.Optimizer:
    """w ← w − lr · g/‖g‖, ‖g‖ over all parameters (Shor 1985); if not ``normalised``, w − lr · g.

    Use the subgradient method with `schedule: inverse_sqrt`. It is no descent method: the best
    report counts.
    """
    return Subgradient(parameters, lr=lr, normalised=normalised)


OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": adam,
    "adamw": adamw,
    "rmsprop": rmsprop,
    "sgd": sgd,
    "subgradient": subgradient,
}
