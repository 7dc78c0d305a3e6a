"""`gan-tune init`: the space file that a search of a data set would begin with."""

from __future__ import annotations

from pathlib import Path

from gan_tune.parts.all_parts import catalogue
from gan_tune.samples.output import check_place, write_file
from gan_tune.service.begin_from_data import checked_limits
from gan_tune.space import SearchSpace
from gan_tune.starting.proposal import Proposal, largest_side, propose
from gan_tune.starting.seen_data import look
from gan_tune.starting.sources import name_of


def init(
    data: str | Path,
    out: str | Path | None = None,
    *,
    minutes: float | None = None,
    gpu: float | None = None,
    force: bool = False,
) -> tuple[Path, Proposal]:
    """Look at data, and write the space file that is proposed for them; nothing is searched.

    Args:
        data: a folder of pictures or a data file.
        out: the file; default the name of the data with `.yaml`, in this folder.
        minutes: time for the whole search, > 0; default ten.
        gpu: GPUs of a trial; default `auto`.
        force: whether to overwrite the file.

    Returns:
        The file, and the proposal that it holds.

    Raises:
        DataError: the data cannot be used.
        OutputError: the file exists already and ``force`` is False, or it cannot be written.
        SpaceError: a limit is invalid.
    """
    minutes, gpu = checked_limits(minutes, gpu)
    path = Path(data).expanduser()
    name = name_of(path)
    file = Path(f"{name}.yaml" if out is None else out)
    check_place(file, force=force)
    seen = look(path, largest=largest_side(minutes, gpu))
    made = propose(seen, name, minutes=minutes, gpu=gpu)
    SearchSpace.load(made.tree, catalogue())  # refuses now what would be refused later
    write_file(file, made.text.encode(), force=force)
    return file, made
