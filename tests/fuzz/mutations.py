"""Strategies: trees of plain values, texts and files that somebody has damaged."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from gan_tune.space.grammar import RANGE_KEYS

HUGE = (2**31, 2**53 + 1, 2**63, 2**64, 10**400, -(2**63) - 1)
ODD_TEXTS = (
    "", " ", ".", "..", "²", "٣", "\x1b[31m", "\u202e", "\x00", "a.b", "none", "null", "yes", "1e3",
    "${x}", "a:b", "os:path", "postgresql://u:pw@h/db", "\ud800", "ß" * 300,
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-3, 12),
    st.sampled_from(HUGE),
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([5e-324, 1.7e308, -0.0, 1e-320]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.sampled_from(ODD_TEXTS), st.text())


def _ranges(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Ranges, sound or not, and parts."""
    bounds = st.one_of(st.lists(NUMBERS, min_size=2, max_size=2), inner)
    ranges = st.dictionaries(st.sampled_from([*RANGE_KEYS, "step", "label"]), bounds, max_size=3)
    parts = st.dictionaries(st.sampled_from(["name", "label", "lr", "a.b"]), inner, max_size=3)
    keys = st.one_of(st.sampled_from([*ODD_TEXTS, "name"]), st.text(), st.integers())
    mappings = st.dictionaries(keys, inner, max_size=4)
    return st.one_of(st.lists(inner, max_size=4), ranges, parts, mappings)


VALUES = st.recursive(SCALARS, _ranges, max_leaves=12)


@st.composite
def trees(draw: st.DrawFn, tree: dict[str, Any], words: tuple[str, ...]) -> dict[str, Any]:
    """The tree after one to four changes: a value replaced, moved or dropped, a key renamed, or
    one that looks like a path beside it."""
    changed = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 4))):
        here, key = draw(st.sampled_from(_places(changed)))
        how = draw(st.sampled_from(["replace", "number", "drop", "rename", "copy", "dot"]))
        if how == "drop":
            del here[key]
        elif how == "rename" and isinstance(here, dict):
            here[draw(st.one_of(st.sampled_from(words), st.text(), SCALARS))] = here.pop(key)
        elif how == "dot" and isinstance(here, dict):
            below = draw(st.sampled_from(["a", "0", "9", "", "x.y", str(here[key])[:3]]))
            here[f"{key}.{below}"] = draw(SCALARS)
        elif how == "copy":
            other, at = draw(st.sampled_from(_places(changed)))
            here[key] = copy.deepcopy(other[at])
        else:
            here[key] = draw(NUMBERS if how == "number" else VALUES)
        if not _places(changed):
            break
    return changed


def _places(tree: Any) -> list[tuple[Any, Any]]:
    """Every place of a tree, as the container and the key in it."""
    found: list[tuple[Any, Any]] = []
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in inside:
        found.append((tree, key))
        if isinstance(value, (dict, list)):
            found += _places(value)
    return found


@st.composite
def texts(draw: st.DrawFn, text: str, pieces: tuple[str, ...]) -> str:
    """The text after one to four cuts, each filled with a piece, any text, or a part of itself."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        fill = draw(st.one_of(st.sampled_from(pieces), st.text(max_size=8), st.just(text[:start])))
        text = text[:start] + fill + text[end:]
    return text


@st.composite
def contents(draw: st.DrawFn, content: bytes) -> bytes:
    """The bytes after one to four changes; half of them near the beginning, where headers are."""
    for _ in range(draw(st.integers(1, 4))):
        near = draw(st.booleans())
        start = draw(st.integers(0, min(len(content), 160) if near else len(content)))
        cut = draw(st.sampled_from([0, 1, 1, 2, 4, 8, 64, len(content)]))
        nothing, ends = st.just(b""), st.sampled_from([b"\xff" * 4, b"\x00" * 4, b"9" * 12])
        fill = draw(st.one_of(nothing, ends, st.binary(min_size=1, max_size=8)))
        content = content[:start] + fill + content[start + cut :]
    return content


@st.composite
def duplicated(draw: st.DrawFn, tree: Any) -> str:
    """The JSON of a mapping in which a key is there twice, with another value."""
    inside = json.dumps(tree)[1:-1]
    key = draw(st.sampled_from(sorted(tree)))
    return f"{{{inside}, {json.dumps(key)}: {json.dumps(draw(VALUES))}}}"


ODD_JSON = (
    b"", b" ", b"null", b"true", b"0", b"-1", b"NaN", b"Infinity", b"1e999", b'"x"', b"[]", b"{}",
    b"[null]", b"[[]]", b"[{}]", b'{"": 1}', b'{"\\ud800": "\\ud800"}', b"[" * 100_000,
    b'{"a":' * 100_000, b"9" * 5_000, b'{"step": ' + b"9" * 5_000 + b"}", b'"' + b"x" * 100_000,
    b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00", b"\x00\x00\x00{", b"\xff", b"\x00" * 64, b"{}\n{}",
)  # fmt: skip


def stored(content: bytes) -> st.SearchStrategy[bytes]:
    """A JSON file that somebody has damaged: in a value, in a byte, at its end, or altogether."""
    tree = json.loads(content)
    tree = tree if isinstance(tree, dict) else {"": tree}
    as_json = trees(tree, tuple(tree)).map(lambda t: t.get("", t) if "" in tree else t)
    encoded = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp500"])
    return st.one_of(
        as_json.map(json.dumps).map(str.encode),
        as_json.map(json.dumps).map(str.encode),
        as_json.map(lambda tree: json.dumps(tree, ensure_ascii=False)).map(_written),
        duplicated(tree).map(str.encode),
        contents(content),
        encoded.map(lambda name: content.decode().encode(name)),
        st.integers(0, len(content)).map(lambda end: content[:end]),
        st.sampled_from(ODD_JSON),
        st.binary(max_size=64),
    )


def _written(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
