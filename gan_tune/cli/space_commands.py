"""The commands on space files: validate, show, schema."""

from __future__ import annotations

from gan_tune import service
from gan_tune.cli import options, printing
from gan_tune.cli.checked_space import load_checked
from gan_tune.errors import GanTuneError
from gan_tune.words.terminal import busy


def validate(files: options.Files, data: options.CheckData = True) -> None:
    """Check space files: all faults at once.

    Prints `ok` for each sound file, and every fault of the others with its place and rule.

    \b
    Example:
      gan-tune validate my_space.yaml digits
    """
    faults: list[str] = []
    for file in files:
        try:
            load_checked(file, [], data=data)
        except GanTuneError as error:
            faults += str(error).splitlines()
        else:
            print(f"{file}: ok")
    if faults:
        raise GanTuneError("\n".join(faults))


def show(space: options.Space, set_: options.Set = None) -> None:
    """Show what a space searches.

    Each range with its ends or options, where it exists, and the budget.

    \b
    Example:
      gan-tune show digits
    """
    printing.print_dimensions(load_checked(space, set_ or []))


def schema(out: options.SchemaFile = None, force: options.Force = False) -> None:
    """Print the JSON Schema of a space file.

    Editors complete and check YAML with it.

    \b
    Example:
      gan-tune schema --out space.schema.json
    """
    with busy("gathering all parts"):
        text = service.schema(out, force=force)
    print(text if out is None else out)
