"""Which kernels PyTorch takes: deterministic ones or any, and how exactly they multiply."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["kernels"]


@contextmanager
def kernels(*, deterministic: bool, matmul_precision: str = "highest") -> Iterator[None]:
    """Run with deterministic kernels or with any, whatever the process has.

    And multiply float32 matrices in this precision: "highest", "high" or "medium".
    """
    outer = torch.get_deterministic_debug_mode()
    matmuls = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]
    by_backend = [matmul.fp32_precision for matmul in matmuls]
    try:
        outer_precision = torch.get_float32_matmul_precision()
    except RuntimeError:  # it was set backend by backend, which no one word can say
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

    That import takes a worker over a second. Only a user's network calls the compiler, which then
    is imported already, unless that happens as late as in `forward`.
    """
    torch.set_deterministic_debug_mode(debug_mode)
    if "torch._inductor.config" in sys.modules:
        torch.use_deterministic_algorithms(
            torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
        )
