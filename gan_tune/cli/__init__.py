"""The command line: parse, call, print.

Commands stand in the files `*_commands.py`, by subject. Importing them loads nothing heavy:
:mod:`gan_tune.service`, `printing` and `watching` load what they hold on first use.
"""

from gan_tune.cli.program import COMMANDS, INTERRUPTED, app, main

__all__ = ["COMMANDS", "INTERRUPTED", "app", "main"]
