"""The program `gan-tune`: its list of commands, its exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Annotated

import typer

from gan_tune.cli.cluster_commands import logs, submit
from gan_tune.cli.exit_codes import ExitCode
from gan_tune.cli.model_commands import best, generate, look, pull, serve
from gan_tune.cli.overview_commands import doctor, list_all, ui
from gan_tune.cli.registry_commands import compare, promote, rm, rollback
from gan_tune.cli.search_commands import learn, report, retry, search, status, stop, sync
from gan_tune.cli.space_commands import init, schema, show, validate
from gan_tune.cli.train_command import train
from gan_tune.cli.user import check_user
from gan_tune.errors import GanTuneError
from gan_tune.version import __version__
from gan_tune.words.terminal import complain

__all__ = ["COMMANDS", "app", "main"]

COMMANDS: Mapping[str, Callable[..., None]] = MappingProxyType(
    {
        "search": search,
        "submit": submit,
        "status": status,
        "logs": logs,
        "stop": stop,
        "retry": retry,
        "sync": sync,
        "train": train,
        "init": init,
        "validate": validate,
        "show": show,
        "schema": schema,
        "ls": list_all,
        "best": best,
        "report": report,
        "learn": learn,
        "generate": generate,
        "pull": pull,
        "serve": serve,
        "look": look,
        "promote": promote,
        "rollback": rollback,
        "compare": compare,
        "rm": rm,
        "ui": ui,
        "doctor": doctor,
    }
)
"""All commands, in the order in which the help lists them."""

# Some versions of typer bundle Click, and give its UsageError no public name.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
for _name, _command in COMMANDS.items():
    app.command(name=_name)(_command)


def main() -> None:
    """Run the command line. An expected error is printed to stderr, one line for each fault.

    :class:`ExitCode` says what the exit codes mean.
    """
    try:
        code = app(standalone_mode=False)
    except GanTuneError as error:
        code = _complain(str(error).splitlines(), error.exit_code)
    except _UsageError as error:
        code = _complain([_refused(error)])
    except (KeyboardInterrupt, typer.Abort):
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has closed it. Without this, Python would fail again
        # when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = ExitCode.LATER
    sys.exit(code)


@app.callback(invoke_without_command=True)
def _gan_tune(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """Search for the settings with which a GAN trains best, on all your cores and GPUs.

    \b
    First steps:
      gan-tune search digits           a small search on this machine, two minutes
      gan-tune search ./photos         the same for your own pictures, ten minutes
      gan-tune ui                      every trial's settings, curves and pictures
      gan-tune generate digits -n 64 --out samples.png
      gan-tune COMMAND --help          what a command does, with an example
    """
    if version:
        print(f"gan-tune {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())
    else:
        check_user()


def _refused(error: Exception) -> str:
    """What typer refuses, in one line that has the value, which its own lacks since it validates by
    pydantic."""
    from pydantic import ValidationError

    told = " ".join(error.format_message().split())  # type: ignore[attr-defined]
    cause = error.__cause__
    if not isinstance(cause, ValidationError):
        return told
    return f"{told}, not {cause.errors(include_url=False)[0]['input']!r:.60}"


def _complain(lines: Iterable[str], code: int = ExitCode.REFUSED) -> int:
    for line in lines:
        complain(f"error: {line}")
    return code
