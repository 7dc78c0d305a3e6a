"""The program `gan-tune`: its list of commands, its exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated

import typer

from gan_tune.cli.model_commands import best, generate, look
from gan_tune.cli.overview_commands import list_all, ui
from gan_tune.cli.search_commands import INTERRUPTED, report, search, status
from gan_tune.cli.space_commands import schema, show, validate
from gan_tune.cli.train_command import train
from gan_tune.errors import GanTuneError
from gan_tune.version import __version__

__all__ = ["COMMANDS", "INTERRUPTED", "app", "main"]

COMMANDS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "search": search,
        "status": status,
        "train": train,
        "validate": validate,
        "show": show,
        "schema": schema,
        "ls": list_all,
        "best": best,
        "report": report,
        "generate": generate,
        "look": look,
        "ui": ui,
    }
)
"""All commands, in the order in which the help lists them."""

# Click's UsageError has no public name in those versions of typer that carry a Click of their own.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)


def main() -> None:
    """Run the command line: an expected error is a line on stderr for each fault.

    Exit code 2, or 1 where the same command may succeed later.
    """
    try:
        code = app(standalone_mode=False)
    except GanTuneError as error:
        code = _complain(str(error).splitlines(), error.exit_code)
    except _UsageError as error:
        code = _complain([" ".join(error.format_message().split())])  # type: ignore[attr-defined]
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing more can be said, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _gan_tune(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Search for the settings with which a GAN trains best, on every core and GPU you have.

    \b
    First steps:
      gan-tune search digits           a small search on this machine, two minutes
      gan-tune ui                      every trial's settings, curves and pictures
      gan-tune generate digits -n 64 --out samples.png
      gan-tune COMMAND --help          what a command does, with an example
    """
    if version:
        print(f"gan-tune {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def _complain(lines: Iterable[str], code: int = 2) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return code
