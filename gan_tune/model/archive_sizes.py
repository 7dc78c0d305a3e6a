"""What an archive promises beside what it holds: checked before anything of it is read.

A file of some MB could otherwise unpack to GB, name tensors larger than any memory, or give a size
whose computation never ends.
"""

from __future__ import annotations

import ast
import io
import pickletools
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch._export.serde.serialize import deserialize_scalar_type

__all__ = ["check_arithmetic", "check_sample_inputs", "check_tensors", "stored_sizes"]

MiB = 2**20
LARGEST_TEXT = 16 * MiB
"""Bytes of a JSON file in an archive: some ten thousand operators."""
LARGEST_SAMPLE_INPUTS = 64 * MiB
LONGEST_SIZE = 2_000
"""Characters of one symbolic size."""
LARGEST_EXPONENT = 8
LARGEST_NUMBER = 2**63

NAMING = ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4")
"""Opcodes of pickle that name what is called; torch writes the first alone."""
NAMED = re.compile(r"torch\._utils _rebuild_tensor_v2|torch \w+Storage|collections OrderedDict")
"""What the pickle of sample inputs may name: tensors, and the empty mapping of their hooks."""


def stored_sizes(path: Path) -> dict[str, int]:
    """Name, with its folder → bytes of the files of an archive.

    Raises:
        ValueError: a file is compressed, or they have more bytes in all than the archive, or a JSON
            file is too large. torch compresses none.
    """
    with path.open("rb") as file:
        sizes = _stored_sizes(file, path.stat().st_size)
    for name, size in sizes.items():
        if name.endswith(".json") and size > LARGEST_TEXT:
            raise ValueError(f"{name} must have at most {LARGEST_TEXT:,} bytes, but has {size:,}")
    return sizes


def check_sample_inputs(content: bytes) -> None:
    """Check that reading a file of sample inputs makes plain tensors no larger than the file.

    Raises:
        ValueError: it holds anything else.
    """
    if len(content) > LARGEST_SAMPLE_INPUTS:
        rule = f"must have at most {LARGEST_SAMPLE_INPUTS:,} bytes"
        raise ValueError(f"sample inputs {rule}, but have {len(content):,}")
    sizes = _stored_sizes(io.BytesIO(content), len(content))
    pickles = [name for name in sizes if name.endswith(".pkl")]
    if len(pickles) != 1 or sizes[pickles[0]] > LARGEST_TEXT:
        raise ValueError("sample inputs must be tensors")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        pickled = archive.read(pickles[0])
    for opcode, named, _ in pickletools.genops(pickled):
        if opcode.name in NAMING and not NAMED.fullmatch(str(named)):
            raise ValueError(f"sample inputs must be tensors, not {str(named)!r:.60}")


def check_tensors(payloads: Mapping[str, Any], sizes: Mapping[str, int]) -> None:
    """Check that each tensor of a list lies within its file.

    Args:
        payloads: name → entry of a `..._config.json`.
        sizes: name of a file in the same folder → its bytes.

    Raises:
        ValueError: a tensor would be larger than its file, or is not a dense one on the CPU.
    """
    for name, payload in payloads.items():
        meta, has = payload["tensor_meta"], sizes.get(payload["path_name"])
        if meta["device"]["type"] != "cpu":
            raise ValueError(f"{name:.60}: must be a tensor on the CPU")
        shape, strides = _numbers(meta["sizes"]), _numbers(meta["strides"])
        (last,) = _numbers([meta["storage_offset"]])
        last += sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        needs = 0 if 0 in shape else (last + 1) * deserialize_scalar_type(meta["dtype"]).itemsize
        if has is None or needs > has:
            raise ValueError(f"{name:.60}: must lie within its file, but needs {needs} bytes")


def check_arithmetic(text: str) -> None:
    """Check that a size or a guard is computed at once: no large number and no large power.

    Raises:
        ValueError: it may not be.
    """
    if len(text) > LONGEST_SIZE:
        raise ValueError(f"a size must have at most {LONGEST_SIZE:,} characters: {text[:60]!r}...")
    try:
        tree = ast.parse(text.strip() or "0", mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        raise ValueError(f"must be arithmetic of sizes: {text[:60]!r}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, int):
            if node.value >= LARGEST_NUMBER:
                raise ValueError(f"must be arithmetic of 64-bit sizes: {text[:60]!r}")
        elif (power := _power(node)) is not None:
            base, exponent = power
            nested = any(_power(inner) is not None for inner in ast.walk(base))
            if nested or not _small(exponent):
                rule = f"must have no powers above {LARGEST_EXPONENT}, nor powers of powers"
                raise ValueError(f"{rule}: {text[:60]!r}")


def _power(node: ast.AST) -> tuple[ast.expr, ast.expr] | None:
    """Base and exponent, if the node is a power."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return node.left, node.right
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return None
    if node.func.id not in ("Pow", "PowByNatural"):
        return None
    base, exponent = node.args
    return base, exponent


def _small(exponent: ast.expr) -> bool:
    """Whether an exponent is a small whole number, as it stands or as `Integer(2)`."""
    if isinstance(exponent, ast.Call) and len(exponent.args) == 1:
        (exponent,) = exponent.args
    if isinstance(exponent, ast.UnaryOp):
        exponent = exponent.operand
    return (
        isinstance(exponent, ast.Constant)
        and isinstance(exponent.value, int)
        and exponent.value <= LARGEST_EXPONENT
    )


def _numbers(values: Sequence[Mapping[str, Any]]) -> list[int]:
    """Sizes that are plain numbers, 0 or more, as those of stored tensors are."""
    numbers = [value["as_int"] for value in values]
    if not all(type(number) is int and 0 <= number < LARGEST_NUMBER for number in numbers):
        raise ValueError(f"sizes of tensors must be numbers of 0 or more: {numbers!r:.60}")
    return numbers


def _stored_sizes(file: Any, length: int) -> dict[str, int]:
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ValueError(f"{entry.filename!r:.60} must be stored without compression")
    if (total := sum(entry.file_size for entry in entries)) > length:
        raise ValueError(f"must hold what its files promise: {total:,} bytes in {length:,}")
    return {entry.filename: entry.file_size for entry in entries}
