"""A user's own part, named in a space file by its import path: `package.module:name`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any

from gan_tune.errors import ConfigError, Fault
from gan_tune.words.wording import first_line, in_one_line, shown

__all__ = [
    "calls_own_parts",
    "check_named",
    "import_by_path",
    "import_own",
    "own_parts_in",
    "own_parts_uncalled",
    "raising_exceptions",
]

PATH = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")

_calls = ContextVar("whether a user's own parts are called", default=True)


def import_own(path: str) -> Any:
    """Import a part that is defined in the package which its path names.

    So a path reaches none of what a module has merely imported, as `my_nets:os`.

    Raises:
        LookupError: it cannot be imported, or is defined elsewhere; the text is the broken rule.
    """
    part = import_by_path(path)
    named, defined = (str(m).partition(".")[0] for m in (path.partition(":")[0], _module(part)))
    if named != defined:
        raise LookupError(f"must be defined in {named}, which its path names, but is of {defined}")
    return part


def own_parts_in(tree: Any) -> list[str]:
    """The import paths in a tree of plain values, each once, in order."""
    if isinstance(tree, str):
        return [tree] if PATH.fullmatch(tree) else []
    inside = tree.values() if isinstance(tree, Mapping) else tree if _is_list(tree) else ()
    return list(dict.fromkeys(path for value in inside for path in own_parts_in(value)))


def check_named(tree: Mapping[str, Any], named: Collection[str]) -> None:
    """Check of a recorded trial that the user, too, names each part that would be imported.

    Others may write a record; importing a module runs it.

    Raises:
        ConfigError: the record names another one.
    """
    names = {
        role: part.get("name") if isinstance(part, Mapping) else part for role, part in tree.items()
    }
    rule = "a record alone imports no code; if it is yours, give it with --own"
    if faults := [
        Fault(f"{role}.name", rule, shown(name))
        for role, name in names.items()
        if isinstance(name, str) and ":" in name and name not in named
    ]:
        raise ConfigError(faults)


@contextmanager
def own_parts_uncalled() -> Iterator[None]:
    """Within it, :func:`calls_own_parts` is false: users' parts are imported, but not called."""
    token = _calls.set(False)
    try:
        yield
    finally:
        _calls.reset(token)


def calls_own_parts() -> bool:
    """Whether checks may call a user's own parts."""
    return _calls.get()


@contextmanager
def raising_exceptions() -> Iterator[None]:
    """Have a user's code in the block raise exceptions alone, also where it would end the process.

    `SystemExit`, or another error that is no :class:`Exception`, becomes one that reads alike.
    `KeyboardInterrupt` stays: nothing tells Ctrl-C from the code's own.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise type(type(error).__name__, (Exception,), {})(first_line(error)) from error


def _module(part: Any) -> Any:
    return getattr(part, "__module__", None)


def _is_list(tree: Any) -> bool:
    return isinstance(tree, (list, tuple))


def import_by_path(path: str) -> Any:
    """Import the object at a path such as `my_package.networks:Generator`.

    Modules are also searched in the working folder, which Python skips for an installed script such
    as `gan-tune`. It is searched last, so that a file there hides no installed module.

    Raises:
        LookupError: it cannot be imported; the text is the broken rule, with the reason.
    """
    module, _, name = path.partition(":")
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        with raising_exceptions():
            return getattr(import_module(module), name)
    except Exception as error:  # a user's module may raise anything when imported
        raise LookupError(
            f"must be importable as package.module:name ({in_one_line(error)})"
        ) from error
