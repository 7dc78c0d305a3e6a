"""The command line: parse, call, print.

The commands are in `*_command.py` and `*_commands.py`, by subject. Importing them is fast, since
:mod:`gan_tune.service`, `printing` and `watching` load their contents on first use.
"""

from gan_tune.cli.exit_codes import ExitCode
from gan_tune.cli.program import COMMANDS, app, main

__all__ = ["COMMANDS", "ExitCode", "app", "main"]
