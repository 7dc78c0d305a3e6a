"""The gallery of a report: the last picture of each setting, small, to be sorted and filtered.

The page holds the pictures of at most :data:`SHOWN` settings, the best first; of the others it has
links to the files in the search's folder.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

import jinja2
from PIL import Image

from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.service.embedded import UNREADABLE, data_uri, embedded_png
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import setting_name
from gan_tune.words.readable import short_form

__all__ = ["gallery"]

TEMPLATE = "gallery.html.jinja"
SHOWN = 2_000
"""Pictures in the page at most."""
BYTES = 7_000_000
"""Bytes of them at most; as text they take a third more."""
SMALLER = ((192, 75), (160, 60), (128, 50), (112, 45), (96, 45), (80, 40), (64, 35), (48, 30))
"""Longest side in pixels and JPEG's quality of a picture whose file is larger than its share."""


@dataclass(frozen=True)
class Card:
    """A setting in the gallery, with its ``picture`` (a data URI) or a ``link`` to the file.

    Both are None where no picture was stored.
    """

    setting: str
    outcome: str | None
    value: float | None
    steps: int
    decided: str
    changes: Mapping[str, Any]
    step: int | None
    picture: str | None
    link: str | None


def gallery(home: Storage, rows: Sequence[Row], *, metric: str, place: str = "") -> str:
    """The gallery as a part of the report's page; empty if there is no picture.

    Args:
        home: the search's folder.
        rows: of the leaderboard, best first, each with an outcome or what stands for it.
        metric: the objective's name.
        place: the search's folder, as the page's links name it; empty: the page lies in it.
    """
    most = BYTES // max(1, min(SHOWN, len(rows)))
    with ThreadPoolExecutor(4) as readers:  # files and codecs work beside each other
        cards = list(
            readers.map(
                lambda number: _card(home, rows[number], most if number < SHOWN else 0, place),
                range(len(rows)),
            )
        )
    if all(card.step is None for card in cards):
        return ""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((files(__package__) / TEMPLATE).read_text("utf-8"))
    return template.render(
        cards=[asdict(card) for card in cards],
        outcomes=list(dict.fromkeys(card.outcome for card in cards)),
        parameters=sorted({name for card in cards for name in card.changes}),
        metric=metric,
        shown=SHOWN,
    )


def _card(home: Storage, row: Row, most: int, place: str) -> Card:
    """A setting's card; its picture has at most so many bytes, and there is none for 0."""
    name = setting_name(row.setting)
    folders = TrialFolders(home)
    steps = folders[name].grid_steps()
    png = folders[name].grid(steps[-1]) if steps and most else None
    picture = None if png is None else _small(png, most)
    by_link = bool(steps) and picture is None
    return Card(
        setting=name,
        outcome=row.outcome,
        value=row.value,
        steps=row.steps,
        decided=short_form(row.changes),
        changes=row.changes,
        step=steps[-1] if steps else None,
        picture=picture,
        link=f"{place}{folders.grid_path(name, steps[-1])}" if by_link else None,
    )


def _small(png: bytes, most: int) -> str | None:
    """A picture as a data URI of at most so many bytes; None if it is damaged or will not fit."""
    try:
        if len(png) <= most:
            return embedded_png(png)
        picture = Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")
    except UNREADABLE:
        return None
    promising = math.inf  # the side for which the last attempt gives hope
    for side, quality in SMALLER:
        if side > promising:
            continue
        picture.thumbnail((side, side), Image.Resampling.BOX)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= most:
            return data_uri("jpeg", buffer.getvalue())
        promising = 1.2 * side * math.sqrt(most / buffer.tell())
    return None
