"""YAML text to plain values and back, by ruamel.yaml.

Plain scalars are read according to YAML 1.2 (`1e-4` is a number), with two differences that
preserve the meaning of all space files. Dates, octal numbers and `010` are text. `yes`, `no`, `on`
and `off` are booleans.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.constructor import ConstructorError, SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.representer import SafeRepresenter
from ruamel.yaml.resolver import VersionedResolver

from gan_tune.errors import Fault
from gan_tune.space.plain_copy import MANY_KEYS, MOST_KEYS
from gan_tune.words.wording import shown

__all__ = ["YamlFaultsError", "parse", "write", "write_line"]

PLAIN_SCALARS = (
    ("null", r"~|null|Null|NULL|", ("~", "n", "N", "")),
    (
        "bool",
        r"true|True|TRUE|false|False|FALSE|yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF",
        "tTfFyYnNoO",
    ),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|\.[0-9]+(?:[eE][-+]?[0-9]+)?"
        r"|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    ("merge", r"<<", "<"),
)
"""Type of a plain scalar, its pattern, and the characters that it may start with."""


MOST_ENTRIES = 5_000
"""Largest number of entries of a list. More take long to read, and no part takes so many."""


class YamlFaultsError(Exception):
    """A text is not valid YAML; ``faults`` say where and why not."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__(str(faults))
        self.faults = tuple(faults)


def parse(text: str) -> Any:
    """The values of one YAML document.

    Raises:
        YamlFaultsError: with the line and column of a syntax error, or of each double key.
    """
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _Resolver
    yaml.Constructor = _Constructor
    yaml.Composer = _Composer
    try:
        value = yaml.load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = [error.problem or error.context or ""]
        if told[0].startswith("but ") and error.context:
            told.insert(0, error.context)
        problem = " ".join(" ".join(told).split())
        fault = Fault(_place(mark) if mark else "", f"not valid YAML: {problem}")
        raise YamlFaultsError([fault]) from None
    except (YAMLError, ValueError) as error:
        problem = " ".join(str(error).split())
        raise YamlFaultsError([Fault("", f"not valid YAML: {problem}")]) from None
    except RecursionError:
        raise YamlFaultsError([Fault("", "is nested too deeply")]) from None
    if yaml.constructor.doubled:
        raise YamlFaultsError(yaml.constructor.doubled)
    return value


def write(tree: Any) -> str:
    """Plain values as YAML that :func:`parse` reads back, one setting a line."""
    return _written(tree, flow=False, width=80)


def write_line(tree: Any) -> str:
    """Plain values as YAML in one line."""
    return _written(tree, flow=True, width=1 << 30).strip().removesuffix("\n...")


def _place(mark: Any) -> str:
    return f"line {mark.line + 1}, column {mark.column + 1}"


def _implicit_types() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """First character of a plain scalar → its types with their patterns, in ruamel.yaml's form."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, pattern, starts in PLAIN_SCALARS:
        for start in starts:
            rule = (f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{pattern})\Z"))
            found.setdefault(start, []).append(rule)
    return found


class _Resolver(VersionedResolver):
    """Determines the types of plain scalars by :data:`PLAIN_SCALARS`."""

    versioned_resolver = _implicit_types()
    processing_version = (1, 2)  # whatever `%YAML` says, which the library would warn of


class _Composer(Composer):
    """Stops reading at a list or a mapping that is too long."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # YAML lets a later anchor take the name (1.2, 7.1)

    def compose_node(self, parent: Any, index: Any) -> Any:
        rule = ""
        if isinstance(index, int) and index >= MOST_ENTRIES:
            rule = f"a list must have at most {MOST_ENTRIES:,} entries"
        elif isinstance(parent, MappingNode) and len(parent.value) >= MOST_KEYS:
            rule = MANY_KEYS
        if rule:
            raise YamlFaultsError([Fault(_place(self.parser.peek_event().start_mark), rule)])
        return super().compose_node(parent, index)


class _Constructor(SafeConstructor):
    """Makes plain values, notes every double key, and explains tags that cannot be read."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.doubled: list[Fault] = []
        self._flat: set[Any] = set()

    def flatten_mapping(self, node: Any) -> None:
        # The library stops at the first double key, and does not check mappings with `<<`. Keys
        # merged by `<<` may be overridden, so explicitly written keys are checked first.
        if node in self._flat:
            return
        self._flat.add(node)
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, ScalarNode):
                problem = "found unhashable key"
                raise ConstructorError("in a mapping", node.start_mark, problem, key.start_mark)
            if key.value in seen:
                place = _place(key.start_mark)
                self.doubled.append(Fault(place, "the key is written twice", repr(key.value)))
            seen.add(key.value)
        super().flatten_mapping(node)
        if len(node.value) > MOST_KEYS:  # each `<<` may repeat what others have repeated
            raise YamlFaultsError([Fault(_place(node.start_mark), MANY_KEYS)])

    def check_mapping_key(self, *_: Any) -> bool:
        return True  # flatten_mapping has noted the double ones

    def construct_non_recursive_object(self, node: Any, tag: str | None = None) -> Any:
        try:
            return super().construct_non_recursive_object(node, tag)
        except (YAMLError, RecursionError):
            raise
        except Exception as error:  # any error of the library, for example on `!!int -`
            name = str(node.tag).rpartition(":")[2]
            problem = f"cannot be read as {name}: {shown(node.value)}"
            raise ConstructorError(None, None, problem, node.start_mark) from error


class _Representer(SafeRepresenter):
    """Writes real numbers in a form that YAML 1.1 also reads: `1.0e-05`."""

    def represent_float(self, data: float) -> Any:
        node = super().represent_float(data)
        if "." not in node.value:
            node.value = node.value.replace("e", ".0e")
        return node


_Representer.add_representer(float, _Representer.represent_float)


class _CautiousResolver(VersionedResolver):
    """Quotes text that this module or YAML 1.1 would not read as text."""

    processing_version = (1, 1)

    @property
    def versioned_resolver(self) -> dict[str, Any]:
        ours, theirs = _Resolver.versioned_resolver, super().versioned_resolver
        return {start: [*ours.get(start, []), *theirs.get(start, [])] for start in ours | theirs}


def _written(tree: Any, *, flow: bool, width: int) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.Resolver = _CautiousResolver
    yaml.Representer = _Representer
    yaml.default_flow_style = flow
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = width
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    text = io.StringIO()
    yaml.dump(tree, text)
    return text.getvalue()
