"""A look at all pictures of a folder before they are decoded: which are broken, what they show.

Its result is kept in the cache folder, for as long as the files stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_tune.data.found_folder import FoundFolder
from gan_tune.data.picture_folder import Broken, at_once, states, upright
from gan_tune.data.remembered import recall, remember

__all__ = ["Colour", "Seen", "Survey", "border_colour", "survey", "survey_notes"]

Colour = tuple[int, int, int]
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)

NEAR = 24
"""Levels of 255 by which colours differ that are still the same ground."""
UNIFORM = 0.9
"""Share of a picture's border that has one colour, where the picture stands on a ground."""
SEEN_CONTENT = 0.01
"""Share of what a crop cuts off that must differ from the ground to be content."""
SQUARE = 1.05
"""Largest ratio of the sides of a picture that counts as square."""
LIGHT = 0.7
LOOKED_AT = 256
"""Pictures are looked at with at most so many pixels a side."""


@dataclass(frozen=True)
class Seen:
    """What one picture shows.

    ``ground`` is the colour of its border, if it has one; ``light`` the mean luminance of what is
    visible, in [0, 1], of a transparent picture. A square picture ``needs`` nothing; another one
    needs `crop`, `pad` (a crop would cut off a part of what stands on the ground), or `either`.
    """

    ground: Colour | None
    light: float | None
    needs: str


@dataclass(frozen=True)
class Survey:
    """What the pictures of a folder show, and what follows for all of them.

    ``broken`` are places in the list of files, each with its reason. ``ground`` is the colour on
    which transparent pictures lie; ``pads`` says whether most of those that are not square are
    better padded than cropped.
    """

    broken: tuple[tuple[int, str], ...]
    ground: Colour
    pads: bool
    grounds: int
    transparent: int
    opaque: int
    not_square: int
    need_pad: int
    need_crop: int


def survey(folder: FoundFolder) -> Survey:
    """Look at all pictures of a folder, or recall what was seen of the same files.

    Raises:
        DataError: the cache folder cannot be written.
    """
    key = ("survey", folder.root.resolve(), states(folder.root, folder.paths))
    stored = recall(key)
    if stored is None or not _is_survey(stored, len(folder.paths)):
        stored = remember(key, asdict(_looked_at(folder)))
    return _survey(stored)


def _survey(stored: dict[str, Any]) -> Survey:
    broken = tuple((place, why) for place, why in stored["broken"])
    red, green, blue = stored["ground"]
    return Survey(**{**stored, "broken": broken, "ground": (red, green, blue)})


def _is_survey(stored: dict[str, Any], count: int) -> bool:
    """Whether plain values are a survey of ``count`` pictures: their file may be damaged."""
    names = {one.name for one in fields(Survey)}
    if stored.keys() != names or type(stored["pads"]) is not bool:
        return False
    if not _are_broken(stored["broken"], count) or not _is_colour(stored["ground"]):
        return False
    figures = [stored[name] for name in sorted(names - {"broken", "ground", "pads"})]
    if not all(_is_whole(figure, count) for figure in figures):
        return False
    seen: int = stored["transparent"] + stored["opaque"]
    return seen + len(stored["broken"]) == count


def _are_broken(stored: Any, count: int) -> bool:
    if not isinstance(stored, list):
        return False
    pairs = [one for one in stored if isinstance(one, list) and len(one) == 2]
    places = {place for place, _ in pairs if _is_whole(place, count - 1)}
    return len(places) == len(stored) and all(isinstance(why, str) for _, why in pairs)


def _is_colour(stored: Any) -> bool:
    levels = stored if isinstance(stored, list) else []
    return len(levels) == 3 and all(_is_whole(level, 255) for level in levels)


def _is_whole(value: Any, most: int) -> bool:
    return type(value) is int and 0 <= value <= most  # not true or false


def _looked_at(folder: FoundFolder) -> Survey:
    title = f"looking at {len(folder.paths):,} pictures of {folder.root.name}"
    results = [found for some in at_once(_look, folder.paths, title) for found in some]
    broken = [(i, found.reason) for i, found in enumerate(results) if isinstance(found, Broken)]
    seen = [found for found in results if not isinstance(found, Broken)]
    opaque = [one for one in seen if one.light is None]
    transparent = [one for one in seen if one.light is not None]
    ground, grounds = _common_ground(opaque, transparent)
    needs = Counter(one.needs for one in seen)
    return Survey(
        broken=tuple(broken),
        ground=ground,
        pads=needs["pad"] > needs["crop"],
        grounds=grounds,
        transparent=len(transparent),
        opaque=len(opaque),
        not_square=len(seen) - needs[""],
        need_pad=needs["pad"],
        need_crop=needs["crop"],
    )


def _look(path: Path) -> Seen | Broken:
    try:
        with upright(path) as source:
            transparent = source.has_transparency_data
            picture = source.convert("RGBA")
        ratio = max(picture.size) / min(picture.size)
        picture.thumbnail((LOOKED_AT, LOOKED_AT), Image.Resampling.BOX)
    except Exception as error:  # Pillow may raise anything for a damaged file
        return Broken.by(path, error)
    pixels = np.asarray(picture)
    colours, alpha = pixels[..., :3].astype(np.float64), pixels[..., 3:] / 255
    if not transparent or alpha.min() == 1:
        ground = border_colour(colours)
        return Seen(ground, None, _needs(colours, ground, ratio))
    visible = float(alpha.sum())
    light = float((colours.mean(-1, keepdims=True) * alpha).sum() / visible) / 255 if visible else 0
    # Whatever is transparent all around stands on the ground, as far as it is visible.
    on_alpha = np.repeat(alpha * 255, 3, axis=-1)
    around = border_colour(on_alpha)
    return Seen(None, light, _needs(on_alpha, around if around == BLACK else None, ratio))


def border_colour(colours: NDArray[np.float64]) -> Colour | None:
    """The colour of the border of a picture [H, W, 3] in 0..255, if nearly all of it has one."""
    edges = (colours[0], colours[-1], colours[:, 0], colours[:, -1])
    border = np.concatenate(edges)
    middle = np.median(border, axis=0)
    if (np.abs(border - middle).max(-1) <= NEAR).mean() < UNIFORM:
        return None
    red, green, blue = (round(level) for level in middle.tolist())
    return red, green, blue


def _needs(colours: NDArray[np.float64], ground: Colour | None, ratio: float) -> str:
    if ratio <= SQUARE:
        return ""
    if ground is None:
        return "crop"
    height, width = colours.shape[:2]
    cut = abs(height - width) // 2
    long_way = colours if height > width else colours.transpose(1, 0, 2)
    lost = np.concatenate([long_way[:cut], long_way[len(long_way) - cut :]])
    off = np.abs(lost - ground).max(-1) > NEAR
    return "pad" if off.size and off.mean() > SEEN_CONTENT else "either"


def _common_ground(opaque: Sequence[Seen], transparent: Sequence[Seen]) -> tuple[Colour, int]:
    """The ground of most opaque pictures with how many show it, or white, or black, with 0."""
    grounds = [one.ground for one in opaque if one.ground is not None]
    for colour, _ in Counter(grounds).most_common(1):
        alike = [
            g for g in grounds if max(abs(a - b) for a, b in zip(g, colour, strict=True)) <= NEAR
        ]
        if len(alike) > len(opaque) / 2:
            return colour, len(alike)
    light = sum(one.light > LIGHT for one in transparent if one.light is not None)
    only_transparent = bool(transparent) and not opaque
    return (BLACK if only_transparent and light > len(transparent) / 2 else WHITE), 0


def survey_notes(found: Survey) -> Iterator[str]:
    """What follows from a survey, for the user."""
    if found.transparent:
        colour = _named(found.ground)
        if found.grounds:
            why = f"the ground of {found.grounds:,} of the {found.opaque:,} others"
        elif found.opaque:
            why = "since the others show no common ground"
        else:
            why = "from which most of them stand out"
        yield f"{found.transparent:,} transparent pictures lie on {colour}, {why}"


def _named(colour: Colour) -> str:
    return {WHITE: "white", BLACK: "black"}.get(colour, "#{:02x}{:02x}{:02x}".format(*colour))
