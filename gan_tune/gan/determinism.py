"""Selects PyTorch's kernels: deterministic or any, and the precision of matrix products."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["kernels"]


@contextmanager
def kernels(*, deterministic: bool, matmul_precision: str = "highest") -> Iterator[None]:
    """Run with deterministic kernels or with any, independent of the process's own settings.

    ``matmul_precision`` is that of float32 matrix products: "highest", "high" or "medium".
    """
    outer = torch.get_deterministic_debug_mode()
    matmuls = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    by_backend = [matmul.fp32_precision for matmul in matmuls]
    try:
        outer_precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set per backend, which no single value describes
        outer_precision = "highest"
    _use_deterministic_kernels("error" if deterministic else "default")
    torch.set_float32_matmul_precision(matmul_precision)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(outer_precision)
        for matmul, precision in zip(matmuls, by_backend, strict=True):
            matmul.fp32_precision = precision
        _use_deterministic_kernels(outer)


def _use_deterministic_kernels(debug_mode: int | str) -> None:
    """:func:`torch.use_deterministic_algorithms` without importing torch's compiler.

    The import costs a worker over a second. Only a user's network may call the compiler. It has
    then been imported already, unless the network imports it only in `forward`.
    """
    torch.set_deterministic_debug_mode(debug_mode)
    if "torch._inductor.config" in sys.modules:
        torch.use_deterministic_algorithms(
            torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )
