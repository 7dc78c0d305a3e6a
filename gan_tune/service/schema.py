"""`gan-tune schema`: the JSON Schema of a space file."""

from __future__ import annotations

import json
from pathlib import Path

from gan_tune.parts.all_parts import catalogue
from gan_tune.samples.output import write_file
from gan_tune.space import json_schema


def schema(out: Path | None = None, *, force: bool = False) -> str:
    """The JSON Schema of a space file with all known parts; also written to ``out`` if given.

    Raises:
        OutputError: ``out`` exists already and ``force`` is False, or it cannot be written.
    """
    text = json.dumps(json_schema(catalogue()), indent=2)
    if out is not None:
        write_file(out, f"{text}\n".encode(), force=force)
    return text
