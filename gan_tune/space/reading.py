"""Finding a search space and reading it into plain values."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gan_tune.errors import Fault, SpaceError
from gan_tune.regular_file import why_not_regular
from gan_tune.space.plain_copy import PlainCopy
from gan_tune.space.yaml_text import YamlFaultsError, parse, write
from gan_tune.words.wording import did_you_mean, shown

__all__ = ["SpaceText", "read_space", "shipped_folder", "shipped_spaces"]


LARGEST = 2_000_000
"""Characters of a space file at most."""


@dataclass(frozen=True)
class SpaceText:
    """A search space as given: its plain values, their text, and its name.

    ``shipped`` is the name of the shipped space that it is; empty for any other.
    """

    tree: dict[str, Any]
    text: str
    source: str
    shipped: str = ""


def shipped_spaces() -> dict[str, Path]:
    """Name → file of the search spaces that come with gan-tune."""
    return {path.stem: path for path in sorted(shipped_folder().glob("*.yaml"))}


def shipped_folder() -> Path:
    """The folder of the shipped spaces: inside the package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside_wheel = package / "search_spaces"
    return inside_wheel if inside_wheel.is_dir() else package.parent / "search_spaces"


def read_space(source: str | Path | Mapping[str, Any]) -> SpaceText:
    """Read a space from a file, a shipped space's bare name, or a mapping.

    Raises:
        SpaceError: the file is missing, unreadable or not a YAML mapping.
    """
    if isinstance(source, Mapping):
        tree = _mapping_of(source, "")
        return SpaceText(tree, write(tree), "")
    path = _locate(source)
    text = _text_of(path, str(source))
    try:
        loaded = parse(text)
    except YamlFaultsError as error:
        raise SpaceError(error.faults, str(source)) from None
    if loaded is None:
        raise SpaceError([Fault("", "the file is empty; a search space is a mapping")], str(source))
    shipped = path.stem if shipped_spaces().get(path.stem) == path else ""
    return SpaceText(_mapping_of(loaded, str(source)), text, str(source), shipped)


def _locate(source: str | Path) -> Path:
    name = str(source)
    if isinstance(source, Path) or _is_file_name(name):
        return Path(source)
    shipped = shipped_spaces()
    if name in shipped:
        return shipped[name]
    known = ", ".join(shipped) or "none"
    hint = did_you_mean(name, shipped) or ";"
    rule = f"no such search space{hint} shipped are {known}; a file of your own ends in .yaml"
    raise SpaceError([Fault("", rule)], name)


def _is_file_name(name: str) -> bool:
    separators = [separator for separator in (os.sep, os.altsep, "/") if separator]
    return name.endswith((".yaml", ".yml")) or any(separator in name for separator in separators)


def _text_of(path: Path, source: str) -> str:
    rule = why_not_regular(path)
    if rule:
        raise SpaceError([Fault("", rule)], source)
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(LARGEST + 1)
        if len(text) <= LARGEST:
            return text
        rule = f"must have at most {LARGEST:,} characters"
    except UnicodeDecodeError:
        rule = "is not UTF-8 text"
    except FileNotFoundError:
        rule = "no such file"
    except IsADirectoryError:
        rule = "is a folder, not a space file (gan-tune init writes one for data)"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        rule = f"cannot be read: {reason}"
    raise SpaceError([Fault("", rule)], source)


def _mapping_of(loaded: Any, source: str) -> dict[str, Any]:
    copier = PlainCopy()
    tree = copier.copy(loaded)  # before anything is shown: aliases may repeat a tree endlessly
    if not copier.faults and not isinstance(tree, dict):
        copier.faults.append(Fault("", "a search space must be a mapping", shown(loaded)))
    if copier.faults:
        raise SpaceError(copier.faults, source)
    return dict(tree)
