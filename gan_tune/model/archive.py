"""Reading an exported generator (torch's `pt2` archive) so that its file can run no code.

`torch.export.load` trusts its file. In torch 2.15 it unpickles custom objects, sample inputs that
are not plain, and weights and constants that are marked so. It loads compiled libraries. It passes
guards to `exec` and symbolic sizes to sympy, which evaluates them. Tree specs import modules, names
of nodes become source code, and some operators read and write files, or write outside their
tensors. So an archive is checked first: it may contain plain tensors no larger than the file, and a
graph of listed operators on them, as a generator's export does. Archives with other content are
refused. An archive of others is read by :mod:`gan_tune.model.confined`, which also tries it in a
process of its own.
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

from gan_tune.model.archive_graph import MASKS, fix_costs
from gan_tune.model.archive_sizes import (
    check_arithmetic,
    check_sample_inputs,
    check_tensors,
    stored_sizes,
)
from gan_tune.model.operators import FILLING, INDEXED, OPERATORS, UNFILLED

__all__ = ["check_archive", "check_operators", "read_archive"]

PROGRAM = "models/model.json"
SAMPLE_INPUTS = "data/sample_inputs/model.pt"
PAYLOADS = {
    "data/weights/model_weights_config.json": r"weight_\d+",
    "data/constants/model_constants_config.json": r"tensor_\d+",
}
"""File that lists tensors → pattern of the names of tensor files that are read without pickle."""

RECORDS = re.compile(
    r"archive_format|archive_version|byteorder|version|\.data/(serialization_id|version)"
    r"|models/model\.json|data/sample_inputs/model\.pt"
    r"|data/weights/(model_weights_config\.json|weight_\d+)"
    r"|data/constants/(model_constants_config\.json|tensor_\d+)"
)
"""Files of an archive; `data/aotinductor` (libraries) and legacy weights are not among them."""

NAME = re.compile(r"[\w.]*")
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
"""Words of symbolic sizes. Any other word is refused: sympy would evaluate it as Python."""
GUARD = re.compile(
    rf"(?:L(?:\['?\w+'?\])+\.(?:size|stride)\(\)\[\d+\]|\b(?:\d+|and|or|not|{FUNCTIONS})\b"
    r"|[-+*/%(), <>=!])+"
)
"""Comparisons of the inputs' sizes."""

TEXTS: Mapping[str, re.Pattern[str]] = {
    "expr_str": SIZE,
    "guards_code": GUARD,
    "torch_version": re.compile(r"[\w.+]*"),
    "in_spec": re.compile(re.escape(pytree.treespec_dumps(pytree.tree_structure(((0,), {}))))),
    "out_spec": re.compile(re.escape(pytree.treespec_dumps(pytree.tree_structure(0)))),
}
"""Key in a program → pattern of its text. The text of any other key must be a :data:`NAME`."""

ARGUMENT = re.compile(
    "as_(none|(optional_)?tensors?|ints?|floats?|bools?|string|scalar_type|memory_format|layout"
    "|device|graph|name|expr|sym_(int|float|bool)s?)"
)
"""Allowed kinds of an operator's arguments. Operators and objects are not among them."""
LAYOUTS = ("layout", "as_layout")
STRIDED = 7
"""Number of the layout of dense tensors in torch's schema."""


def read_archive(path: Path) -> nn.Module:
    """The module in a file that `torch.export.save` wrote; it cannot run other code.

    Raises:
        ValueError: the file has content that could run other code; names the place.
        Exception: any error of torch if it cannot read the file.
    """
    check_archive(path)
    module = torch.export.load(path).module()
    fix_costs(module)
    return module


def check_archive(path: Path) -> None:
    """Check that a file holds a generator's export and nothing else, without running any of it.

    Raises:
        ValueError: it holds something else; names the place.
        Exception: any error of Python or torch if it is damaged.
    """
    sizes = {name.partition("/")[2]: size for name, size in stored_sizes(path).items()}
    with zipfile.ZipFile(path) as archive:
        names = [name.partition("/")[2] for name in archive.namelist()]
    # Use torch's own reader, since another reader might see other content in a zip file.
    with PT2ArchiveReader(str(path)) as reader:
        if sorted(names) != sorted(reader.get_file_names()) or len(names) != len(set(names)):
            raise ValueError("each of its files must be there once, but some are ambiguous")
        for name in names:
            if not RECORDS.fullmatch(name):
                raise ValueError(f"must hold an exported program alone, without pickles: {name!r}")
            if _size_for_torch(reader, name) != sizes[name]:
                raise ValueError(f"{name} must have one size")
        for name, of_tensors in PAYLOADS.items():
            listed = json.loads(reader.read_bytes(name))
            _check_payloads(name, listed, re.compile(of_tensors))
            folder = name.rpartition("/")[0]
            in_folder = {n.rpartition("/")[2]: s for n, s in sizes.items() if n.startswith(folder)}
            check_tensors(listed["config"], in_folder)
        _check_sample_inputs(reader.read_bytes(SAMPLE_INPUTS))
        _check_texts(PROGRAM, json.loads(reader.read_bytes(PROGRAM)))


def _size_for_torch(reader: PT2ArchiveReader, name: str) -> int:
    """Bytes of one of its files, as torch's own reader has it."""
    if hasattr(reader.archive_file, "get_record_size"):
        return int(reader.archive_file.get_record_size(name))
    return len(reader.read_bytes(name))  # torch 2.10 cannot tell without reading it


def check_operators(program: ExportedProgram) -> None:
    """Check that :func:`read_archive` will accept a program once it is saved.

    Raises:
        ValueError: an operator is not on the list; names it.
    """
    for graph_module in program.graph_module.modules():
        if not isinstance(graph_module, GraphModule):
            continue
        called = [node for node in graph_module.graph.nodes if node.op == "call_function"]
        names = [_as_saved(node.target) for node in called]
        if others := [name for name in names if name not in OPERATORS]:
            rule = "must be made of operators that a generator may have"
            raise ValueError(f"{rule}, but has {others[0]}")
        for node, name in zip(called, names, strict=True):
            if name == INDEXED and any(i.meta["val"].dtype in MASKS for i in node.args[1] if i):
                raise ValueError(f"must have numbers as indices, but has a mask: {node}")
        firsts = [str(node.args[0]) if node.args else "" for node in called]
        _check_filled(names, firsts, [node.name for node in called])


def _as_saved(operator: Any) -> str:
    """An operator's name in an archive."""
    if isinstance(operator, OpOverload):
        return f"torch.ops.{operator}"
    if isinstance(operator, HigherOrderOperator):
        return f"torch.ops.higher_order.{operator}"
    return f"{operator.__module__}.{operator.__name__}"


def _check_filled(operators: list[str], firsts: list[str], results: list[str]) -> None:
    """Check of a graph's nodes that the one after an unfilled tensor fills it.

    ``firsts`` names the first argument of each, ``results`` what each returns.
    """
    for i, operator in enumerate(operators):
        if operator not in UNFILLED:
            continue
        last = i + 1 == len(operators)
        if last or operators[i + 1] not in FILLING or firsts[i + 1] != results[i]:
            rule = f"must fill at once what {operator} returns"
            raise ValueError(f"{rule} (a layer that is made in `forward` does not)")


def _check_nodes(nodes: Any) -> None:
    """The same of nodes in a file."""

    def named(arguments: Any, what: str) -> str:
        first = arguments[0] if arguments else {}
        return str(first.get(what, first).get("as_tensor", {}).get("name", ""))

    _check_filled(
        [node["target"] for node in nodes],
        [named(node["inputs"], "arg") for node in nodes],
        [named(node["outputs"], "arg") for node in nodes],
    )


def _check_payloads(name: str, listed: Any, of_tensors: re.Pattern[str]) -> None:
    for tensor, payload in listed["config"].items():
        if payload["use_pickle"] is not False or not of_tensors.fullmatch(payload["path_name"]):
            raise ValueError(f"{name}: {tensor}: must be a plain tensor, not a pickle")
    _check_texts(name, listed)


def _check_sample_inputs(content: bytes) -> None:
    check_sample_inputs(content)
    try:
        torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch would unpickle the rest without any restriction
        raise ValueError(f"{SAMPLE_INPUTS}: must be tensors, not another pickle") from error


def _check_texts(name: str, tree: Any) -> None:
    for key, text in _texts(tree):
        if key in ("expr_str", "guards_code"):
            check_arithmetic(text)
        fits = text in OPERATORS if key == "target" else TEXTS.get(key, NAME).fullmatch(text)
        if not fits:
            short = text if len(text) <= 60 else f"{text[:60]}..."
            raise ValueError(f"{name}: {key}: must be only of tensors and their sizes: {short!r}")


def _texts(tree: Any, key: str = "name") -> Iterator[tuple[str, str]]:
    """Each text in a tree that must be checked, keys included, with the key above it."""
    if isinstance(tree, str):
        yield key, tree
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value, key)
    elif isinstance(tree, dict):
        for inner, value in tree.items():
            if inner.startswith("as_") and not ARGUMENT.fullmatch(inner):
                raise ValueError(f"{PROGRAM}: {inner}: no argument of an operator on tensors")
            if inner in LAYOUTS and value != STRIDED:
                rule = f"{inner}: must be {STRIDED}, a dense tensor"
                raise ValueError(f"{PROGRAM}: {rule}: {str(value)[:60]}")
            if inner == "nodes":
                _check_nodes(value)
            yield "name", inner
            if not _is_never_evaluated(inner, value):
                yield from _texts(value, inner)


def _is_never_evaluated(key: str, value: Any) -> bool:
    """Whether a value is never evaluated, so that any text is allowed.

    Such values are text arguments of operators, and `metadata` (stack traces). Since any name may
    be a key, the value of `metadata` must be a mapping of texts.
    """
    if key == "as_string":
        return isinstance(value, str)
    texts = isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
    return key == "metadata" and texts
