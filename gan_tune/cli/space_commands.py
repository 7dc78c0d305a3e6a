"""The commands on space files: init, validate, show, schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_tune import service
from gan_tune.cli import documents, options, printing
from gan_tune.cli.checked_space import load_checked
from gan_tune.errors import GanTuneError
from gan_tune.words.terminal import busy, complain, say

if TYPE_CHECKING:
    from gan_tune.space import SearchSpace


def init(
    data: options.Data,
    out: options.NewSpaceFile = None,
    minutes: options.PlannedMinutes = None,
    gpu: options.PlannedGpu = None,
    force: options.Force = False,
) -> None:
    """Write the space file that `search` would propose for data.

    Data are a folder of pictures or a file of arrays. The file is commented. Its networks and the
    length of its trials follow from the time of a training step, measured here.

    \b
    Example:
      gan-tune init ./photos -o photos.yaml --minutes 60
      gan-tune search photos.yaml
    """
    with busy(f"looking at {data}"):
        file, proposal = service.init(data, out, minutes=minutes, gpu=gpu, force=force)
    printing.print_proposal(file, proposal)


def validate(
    files: options.Files, data: options.CheckData = True, as_json: options.Json = False
) -> None:
    """Check space files and list all their faults.

    Prints `ok` for each valid file, and every fault of the others with its place and rule.

    \b
    Example:
      gan-tune validate my_space.yaml digits
    """
    faults: list[str] = []
    checked: list[documents.CheckedFile] = []
    for file in files:
        try:
            space = load_checked(file, [], data=data)
            notes = _notes(space, data=data)
        except GanTuneError as error:
            faults += str(error).splitlines()
            if as_json:
                checked.append(documents.refused_file(file, error))
            continue
        if as_json:
            checked.append(documents.valid_file(file, space, notes))
            continue
        for note in notes:
            complain(f"note: {file}: {note}")
        say(f"{file}: ok")
    if as_json:
        documents.print_document(documents.checked_document(checked))
    if faults:
        raise GanTuneError(*faults)


def _notes(space: SearchSpace, *, data: bool) -> list[str]:
    """What is no fault, but should be known."""
    from gan_tune.config.import_path import own_parts_in

    if data:
        return [f"data: {note}" for note in service.data_notes(service.first_setting(space))]
    own = ", ".join(own_parts_in(space.tree))
    return [f"{own}: not called, so what only they would show is not checked"] if own else []


def show(space: options.Space, set_: options.Set = None, as_json: options.Json = False) -> None:
    """Show what a space searches.

    It lists the budget, and each range with its ends or options and the choices it depends on.

    \b
    Example:
      gan-tune show digits
    """
    checked = load_checked(space, set_ or [])
    if as_json:
        documents.print_document(documents.space_document(checked))
    else:
        printing.print_dimensions(checked)


def schema(out: options.SchemaFile = None, force: options.Force = False) -> None:
    """Print the JSON Schema of a space file.

    An editor that knows it can complete and check space files.

    \b
    Example:
      gan-tune schema --out space.schema.json
    """
    with busy("gathering all parts"):
        text = service.schema(out, force=force)
    print(text if out is None else out)
