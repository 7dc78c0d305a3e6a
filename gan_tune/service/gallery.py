"""The gallery of a report: the last picture of each setting, small, to be sorted and filtered.

The page holds the pictures of at most :data:`SHOWN` settings, the best first. Of the others it has
links to the files in the search's folder, which is not looked into for them.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import jinja2
from jinja2.utils import htmlsafe_json_dumps
from PIL import Image

from gan_tune.errors import StorageError
from gan_tune.searching.study.leaderboard_row import Row
from gan_tune.service.embedded import UNREADABLE, data_uri, embedded_png
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import setting_name

__all__ = ["gallery"]

TEMPLATE = "gallery.html.jinja"
SHOWN = 2_000
"""Pictures in the page at most."""
TRIED = 8
"""Settings of which one is expected to have a sound picture."""
BYTES = 7_000_000
"""Bytes of them at most; as text they take a third more."""
SMALLER = ((192, 75), (160, 60), (128, 50), (112, 45), (96, 45), (80, 40), (64, 35), (48, 30))
"""Longest side in pixels and JPEG's quality of a picture whose file is larger than its share."""


DIGITS = 6
"""Significant digits of numbers in the page: thousands of settings would make it large."""


@dataclass(frozen=True)
class Card:
    """A setting in the gallery.

    Attributes:
        setting: its trial's name.
        outcome, value, steps, changes: as in the leaderboard.
        step: of its last picture; None where none was stored.
        picture: a data URI; None: a link leads to the file.
    """

    setting: str
    outcome: str | None
    value: float | None
    steps: int
    changes: Mapping[str, Any]
    step: int | None
    picture: str | None

    def compact(self, places: Mapping[str, int]) -> list[Any]:
        """The card without names of fields; ``places`` are the numbers of the parameters."""
        changes = {places[name]: _rounded(value) for name, value in self.changes.items()}
        value = _rounded(self.value)
        return [self.setting, self.outcome, value, self.steps, self.step, self.picture, changes]


def gallery(
    home: Storage,
    rows: Sequence[Row],
    *,
    metric: str,
    place: str = "",
    damaged: Callable[[str, StorageError], None],
) -> str:
    """The gallery as a part of the report's page; empty if there is no picture.

    Args:
        home: the search's folder.
        rows: of the leaderboard, best first, each with an outcome or what stands for it.
        metric: the objective's name.
        place: the search's folder, as the page's links name it; empty: the page lies in it.
        damaged: is told the trials whose folders cannot be read; they stand there without picture.
    """
    most = BYTES // max(1, min(SHOWN, len(rows)))
    size = _size_that_fits(home, rows, most)

    def seen(row: Row) -> Card:
        try:
            step, png = _last_picture(home, row)
        except StorageError as error:
            damaged(setting_name(row.setting), error)
            return _card(row, None, None)
        return _card(row, step, None if png is None else _small(png, most, size))

    with ThreadPoolExecutor(4) as readers:  # files and codecs work beside each other
        cards = list(readers.map(seen, rows[:SHOWN]))
    cards += [_card(row, row.steps or None, None) for row in rows[SHOWN:]]
    if all(card.step is None for card in cards):
        return ""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string((files(__package__) / TEMPLATE).read_text("utf-8"))
    parameters = sorted({name for card in cards for name in card.changes})
    places = {name: number for number, name in enumerate(parameters)}
    data = {
        "parameters": parameters,
        "link": f"{place}{TrialFolders(home).grid_path('SETTING', 'STEP')}",
        "cards": [card.compact(places) for card in cards],
    }
    return template.render(
        data=htmlsafe_json_dumps(data, separators=(",", ":")),  # safe within a script element
        count=len(cards),
        outcomes=list(dict.fromkeys(card.outcome for card in cards)),
        parameters=parameters,
        metric=metric,
        shown=SHOWN,
    )


def _card(row: Row, step: int | None, picture: str | None) -> Card:
    name = setting_name(row.setting)
    return Card(name, row.outcome, row.value, row.steps, row.changes, step, picture)


def _last_picture(home: Storage, row: Row) -> tuple[int | None, bytes | None]:
    """The step and the PNG of a setting's last picture."""
    folder = TrialFolders(home)[setting_name(row.setting)]
    steps = folder.grid_steps()
    return (steps[-1], folder.grid(steps[-1])) if steps else (None, None)


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _size_that_fits(home: Storage, rows: Sequence[Row], most: int) -> int:
    """Where in :data:`SMALLER` to begin: what the first sound picture takes.

    The pictures of a search are much alike, and each size that is tried costs as much as reading
    the picture.
    """
    for row in rows[:TRIED]:
        with suppress(StorageError, *UNREADABLE):
            _, png = _last_picture(home, row)
            if png is not None:
                return _shrunk(_opened(png), most)[0] if len(png) > most else 0
    return 0


def _small(png: bytes, most: int, size: int) -> str | None:
    """A picture as a data URI of at most so many bytes; None if it is damaged or will not fit."""
    try:
        if len(png) <= most:
            return embedded_png(png)
        _, jpeg = _shrunk(_opened(png), most, size)
    except UNREADABLE:
        return None
    return None if jpeg is None else data_uri("jpeg", jpeg)


def _opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png), formats=["PNG"]).convert("RGB")


def _shrunk(picture: Image.Image, most: int, size: int = 0) -> tuple[int, bytes | None]:
    """The first of :data:`SMALLER` from ``size`` on that fits, and the JPEG; None if none does."""
    promising = math.inf  # the side for which the last attempt gives hope
    for place, (side, quality) in enumerate(SMALLER[size:], start=size):
        if side > promising:
            continue
        picture.thumbnail((side, side), Image.Resampling.BOX)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= most:
            return place, buffer.getvalue()
        promising = 1.2 * side * math.sqrt(most / buffer.tell())
    return 0, None
