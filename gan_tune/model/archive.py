"""Reading an exported generator (torch's `pt2` archive) so that its file can run no code.

`torch.export.load` trusts its file. In torch 2.15 it unpickles custom objects, sample inputs that
are not plain, and weights and constants that are marked so. It loads compiled libraries. It passes
guards to `exec` and symbolic sizes to sympy, which evaluates them. Tree specs import modules, names
of nodes become source code, and some operators read and write files. So an archive is checked
first. It may contain plain tensors and a graph of ATen's operators on them, as a generator's export
does. Archives with other content are refused.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._ops import HigherOrderOperator, OpOverload
from torch.export import ExportedProgram
from torch.export.pt2_archive import PT2ArchiveReader
from torch.fx import GraphModule
from torch.utils import _pytree as pytree

__all__ = ["check_operators", "read_archive"]

PROGRAM = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
PAYLOADS = {
    "data/weights/model_weights_config.json": r"weight_\d+",
    "data/constants/model_constants_config.json": r"tensor_\d+",
}
"""The lists of tensors, and the names of the tensor files that need no unpickling."""

RECORDS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/(serialization_id|version)"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(model_weights_config\.json|weight_\d+)"
    r"|data/constants/(model_constants_config\.json|tensor_\d+)"
)
"""Files of an archive; `data/aotinductor` (libraries) and legacy weights are not among them."""

NAME = re.compile(r"[\w.]*")
OPERATOR = re.compile(
    r"torch\.ops\.aten\.(?!from_file|save|load)\w+\.\w+|torch\.sym_\w+|math\.trunc"
    r"|_operator\.(getitem|add|sub|mul|neg|pos|floordiv|truediv|mod|pow|eq|ne|lt|le|gt|ge|and_|or_)"
    r"|torch\.ops\.higher_order\.(wrap_with_set_grad_enabled|wrap_with_autocast|cond)"
)
"""ATen's, but for those that read or write files; arithmetic of sizes; those of a graph of such."""
FUNCTIONS = (
    "Max|Min|Mod|PythonMod|FloorDiv|CeilDiv|CleanDiv|ModularIndexing|Identity|ToFloat"
    "|IntTrueDiv|FloatTrueDiv|PowByNatural|CeilToInt|FloorToInt|TruncToInt|RoundToInt"
)
SYMBOL = r"\bSymbol\('\w+'(?:, \w+=(?:True|False))*\)"
CLASSES = (
    "Add|Mul|Pow|Integer|Rational|And|Or|Not|true|false|Equality|Unequality|LessThan|GreaterThan"
    "|StrictLessThan|StrictGreaterThan"
)
SIZE = re.compile(rf"(?:{SYMBOL}|\b(?:[su]\d+|\d+|{CLASSES}|{FUNCTIONS})\b|[-+*/(), ])+")
"""Arithmetic of symbolic sizes. No other word: sympy would take it for one of Python's."""
GUARD = re.compile(
    rf"(?:L(?:\['?\w+'?\])+\.(?:size|stride)\(\)\[\d+\]|\b(?:\d+|and|or|not|{FUNCTIONS})\b"
    r"|[-+*/%(), <>=!])+"
)
"""Comparisons of the inputs' sizes."""

TEXTS: Mapping[str, re.Pattern[str]] = {
    "target": OPERATOR,
    "expr_str": SIZE,
    "guards_code": GUARD,
    "torch_version": re.compile(r"[\w.+]*"),
    "in_spec": re.compile(re.escape(pytree.treespec_dumps(pytree.tree_structure(((0,), {}))))),
    "out_spec": re.compile(re.escape(pytree.treespec_dumps(pytree.tree_structure(0)))),
}
"""Patterns for the texts of a program, by their key; all other texts are names."""

ARGUMENT = re.compile(
    "as_(none|(optional_)?tensors?|ints?|floats?|bools?|string|scalar_type|memory_format|layout"
    "|device|graph|name|expr|sym_(int|float|bool)s?)"
)
"""Kinds of arguments: no operators or objects."""


def read_archive(path: Path) -> nn.Module:
    """The module in a file that `torch.export.save` wrote; both reading and running it are safe.

    Raises:
        ValueError: the file has content that could run other code; names the place.
        Exception: any error of torch if it cannot read the file.
    """
    _check(path)
    return torch.export.load(path).module()


def check_operators(program: ExportedProgram) -> None:
    """Check that :func:`read_archive` will accept a program once it is saved.

    Raises:
        ValueError: an operator is not torch's own; names it.
    """
    graphs = [m.graph for m in program.graph_module.modules() if isinstance(m, GraphModule)]
    for node in (node for graph in graphs for node in graph.nodes if node.op == "call_function"):
        name = _as_saved(node.target)
        if not OPERATOR.fullmatch(name):
            raise ValueError(f"must be made of torch's own operators on tensors, but has {name}")


def _as_saved(operator: Any) -> str:
    """An operator's name in an archive."""
    if isinstance(operator, OpOverload):
        return f"torch.ops.{operator}"
    if isinstance(operator, HigherOrderOperator):
        return f"torch.ops.higher_order.{operator}"
    return f"{operator.__module__}.{operator.__name__}"


def _check(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    # Use torch's own reader, since another reader might see other content in a zip file.
    with PT2ArchiveReader(str(path)) as reader:
        if sorted(names) != sorted(reader.get_file_names()) or len(names) != len(set(names)):
            raise ValueError("each of its files must be there once, but some are ambiguous")
        for name in names:
            if not RECORDS.fullmatch(name):
                raise ValueError(f"must hold an exported program alone, without pickles: {name!r}")
        for name, of_tensors in PAYLOADS.items():
            _check_payloads(name, json.loads(reader.read_bytes(name)), re.compile(of_tensors))
        _check_sample_inputs(reader.read_bytes(SAMPLE_INPUTS))
        _check_texts(PROGRAM, json.loads(reader.read_bytes(PROGRAM)))


def _check_payloads(name: str, listed: Any, of_tensors: re.Pattern[str]) -> None:
    for tensor, payload in listed["config"].items():
        if payload["use_pickle"] is not False or not of_tensors.fullmatch(payload["path_name"]):
            raise ValueError(f"{name}: {tensor}: must be a plain tensor, not a pickle")
    _check_texts(name, listed)


def _check_sample_inputs(content: bytes) -> None:
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch would unpickle the rest without any restriction
        raise ValueError(f"{SAMPLE_INPUTS}: must be tensors, not another pickle") from error


def _check_texts(name: str, tree: Any) -> None:
    for key, text in _texts(tree):
        rule = TEXTS.get(key, NAME)
        if not rule.fullmatch(text):
            short = text if len(text) <= 60 else f"{text[:60]}..."
            raise ValueError(f"{name}: {key}: must be only of tensors and their sizes: {short!r}")


def _texts(tree: Any, key: str = "name") -> Iterator[tuple[str, str]]:
    """The relevant texts of a tree, including keys, each with the key above it."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value, key)
    elif isinstance(tree, dict):
        for inner, value in tree.items():
            if inner.startswith("as_") and not ARGUMENT.fullmatch(inner):
                raise ValueError(f"{PROGRAM}: {inner}: no argument of an operator on tensors")
            yield "name", inner
            if not _is_free(inner, value):
                yield from _texts(value, inner)


def _is_free(key: str, value: Any) -> bool:
    """Whether a value is never evaluated, such as an operator's own word or a stack trace.

    Any name may be a key, so the value of `metadata` counts only if it consists of texts.
    """
    if key == "as_string":
        return isinstance(value, str)
    texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    return key == "metadata" and texts
