"""A generator as an ONNX file, checked against torch. This file alone imports ONNX's packages."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.export import ExportedProgram

from gan_tune.model.confined import BATCHES

__all__ = ["TOLERANCE", "check_onnx", "write_onnx"]

INPUT, OUTPUT = "z", "samples"
TOLERANCE = 1e-5
"""Largest deviation from torch: of pictures in [0, 1], and of points beside their largest value."""
JUMPS = 1e-3
"""Share of a table's values that may deviate by more: a value at the edge between two levels may
fall on either."""
LARGEST_IN_ONE = 2**31 - 2**24
"""Bytes of tensors up to which they stand in the file itself, which must stay below 2 GiB."""


def write_onnx(program: ExportedProgram, path: Path) -> None:
    """Write a program z [batch, latent] → samples; very large weights go to a file beside it.

    Raises:
        Exception: any error of torch if an operator has no counterpart in ONNX.
    """
    with _in_silence():
        converted = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            custom_translation_table=_translations(),
        )
        assert converted is not None
        _name(converted.model.graph)
        size = sum(t.numel() * t.element_size() for t in program.state_dict.values())
        converted.save(path, external_data=size > LARGEST_IN_ONE)


def check_onnx(path: Path, module: nn.Module, *, latent: int, jumps: bool = False) -> float:
    """The largest deviation of an ONNX file from its module on the CPU, over several batches.

    ``jumps`` allows for a table's values that change by steps.

    Raises:
        ValueError: it deviates by more than :data:`TOLERANCE`, or takes only some sizes of batch.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    farthest = 0.0
    for batch in BATCHES:
        z = torch.randn(batch, latent, generator=torch.Generator().manual_seed(batch))
        with torch.inference_mode():
            wanted: NDArray[Any] = module(z).numpy()
        try:
            (found,) = session.run(None, {INPUT: z.numpy()})
        except Exception as error:  # onnxruntime's errors have no common class
            raise ValueError(f"must take {batch} latents: {error}") from None
        unit = np.maximum(1, np.abs(wanted).max(0)) if wanted.ndim == 2 else 1
        apart = np.abs(found - wanted) / unit
        if jumps:
            apart = np.sort(apart.ravel())[: int(apart.size * (1 - JUMPS))]
        farthest = max(farthest, float(apart.max()))
    if not farthest <= TOLERANCE:
        raise ValueError(f"must be within {TOLERANCE:g} of torch, but deviates by {farthest:.3g}")
    return farthest


def _name(graph: Any) -> None:
    """Give input, output and the batch's dimension names of their own."""
    import onnx_ir

    for value, name in ((graph.inputs[0], INPUT), (graph.outputs[0], OUTPUT)):
        value.name = name
        value.shape = onnx_ir.Shape(["batch", *value.shape[1:]])


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Operators that ONNX lacks: how they are written with those that it has."""
    from onnxscript import INT64, opset18

    op: Any = opset18  # its annotations know only what it traces, not what it takes

    def searchsorted(
        knots: Any, x: Any, out_int32: bool = False, right: bool = False, **others: Any
    ) -> Any:
        """How many of the knots [D, K] are at or below each x [D, N]."""
        if not right or any(value is not None for value in others.values()):
            raise ValueError("searchsorted has a counterpart only from the right")
        below = op.LessOrEqual(op.Unsqueeze(knots, [1]), op.Unsqueeze(x, [2]))
        return op.ReduceSum(op.Cast(below, to=INT64.dtype), [2], keepdims=0)

    return {torch.ops.aten.searchsorted.Tensor: searchsorted}


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Suppress what torch and ONNX print and log on their way."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.redirect_stdout(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
