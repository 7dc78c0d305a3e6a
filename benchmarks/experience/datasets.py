"""Data sets of the recorded tasks that gan-tune does not ship, made from what is at hand.

Tables have their columns; pictures of letters their letter as label. Every set is a fixed draw.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.columns import Column
from gan_tune.data.dataset import Dataset, cut, split_order

ROWS = 12_500
"""Rows of a made set: 10,000 / 1,250 / 1,250."""
Floats = NDArray[np.float64]


# ---------------------------------------------------------------- 2-D points


def moons() -> Dataset:
    """Two interleaved half circles, with noise of 0.05."""
    from sklearn.datasets import make_moons

    points, _ = make_moons(ROWS, noise=0.05, random_state=0)
    return _points("moons", points)


def spirals() -> Dataset:
    """Three arms that wind once around the middle and grow wider outwards."""
    random = np.random.default_rng(0)
    along = np.sqrt(random.random(ROWS))
    angles = 2 * math.pi * (along + random.integers(3, size=ROWS) / 3)
    points = along[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return _points("spirals", points + 0.02 * random.standard_normal((ROWS, 2)))


def blobs() -> Dataset:
    """Six Gaussians of unequal shares (1 to 6), widths and slopes."""
    random = np.random.default_rng(3)
    modes = random.choice(6, size=ROWS, p=np.arange(1, 7) / 21)
    centres = random.uniform(-3, 3, size=(6, 2))
    factors = random.normal(0, 0.25, size=(6, 2, 2))
    noise = random.standard_normal((ROWS, 2, 1))
    return _points("blobs", centres[modes] + (factors[modes] @ noise)[:, :, 0])


# ---------------------------------------------------------------- tables


def made_table() -> Dataset:
    """Six columns that depend on each other in known ways: linearly, by a square, by a sign."""
    random = np.random.default_rng(0)
    a, b, c = random.standard_normal((3, ROWS))
    columns = {
        "a": a,
        "sum": 0.8 * a + 0.6 * b,
        "square": a**2 + 0.3 * b,
        "skewed": np.exp(0.5 * a + 0.5 * c),
        "bent": np.sin(2 * b) + 0.2 * c,
        "sided": np.sign(c) * (1 + 0.3 * np.abs(b)),
    }
    return _table("made_table", columns)


def sensors() -> Dataset:
    """Nine columns that three hidden ones drive, two of them with heavy tails, one bounded."""
    random = np.random.default_rng(1)
    hidden = np.stack(
        [random.standard_normal(ROWS), random.random(ROWS), random.standard_exponential(ROWS)]
    )
    mixed = random.normal(size=(9, 3)) @ hidden + 0.1 * random.standard_normal((9, ROWS))
    mixed[6:8] = np.sinh(mixed[6:8])
    mixed[8] = 1 / (1 + np.exp(-mixed[8]))
    return _table("sensors", {f"s{i}": column for i, column in enumerate(mixed)})


def diamonds() -> Dataset:
    """The seven columns of numbers of plotnine's table of 53,940 diamonds; 12,500 of its rows."""
    from plotnine.data import diamonds as table

    names = ["carat", "depth", "table", "price", "x", "y", "z"]
    chosen = np.random.default_rng(0).permutation(len(table))[:ROWS]
    values = table[names].to_numpy(dtype=np.float64)[chosen]
    return _table("diamonds", dict(zip(names, values.T, strict=True)))


# ---------------------------------------------------------------- pictures

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def letters() -> Dataset:
    """Capital letters in twelve faces of DejaVu that matplotlib ships, 12x12 in grey.

    6,240 pictures, each drawn at a random size, place and slope; the label is the letter.
    """
    return _letters("letters", side=12)


def large_letters() -> Dataset:
    """The letters at 28x28."""
    return _letters("large_letters", side=28)


def _letters(name: str, *, side: int) -> Dataset:
    random = np.random.default_rng(0)
    drawn = [_letter(*drawing, side, random) for drawing in _drawings() for _ in range(20)]
    labels = np.array([LETTERS.index(letter) for letter, _ in _drawings() for _ in range(20)])
    order = split_order(name, len(drawn))
    return cut(name, "pictures", np.stack(drawn)[order, None], labels[order])


def _drawings() -> Iterator[tuple[str, Path]]:
    import matplotlib

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    faces = sorted([*fonts.glob("DejaVuSans*.ttf"), *fonts.glob("DejaVuSerif*.ttf")])
    faces = [face for face in faces if "Display" not in face.name][:12]
    return ((letter, face) for letter in LETTERS for face in faces)


def _letter(letter: str, face: Path, side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A letter [side, side], drawn at 48x48 and made smaller."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("L", (48, 48))
    font = ImageFont.truetype(str(face), int(random.integers(32, 44)))
    middle = 24 + random.uniform(-3, 3, size=2)
    ImageDraw.Draw(picture).text(tuple(middle), letter, 255, font, anchor="mm")
    turned = picture.rotate(random.uniform(-12, 12), Image.Resampling.BILINEAR)
    return np.asarray(turned.resize((side, side), Image.Resampling.BOX))


def grey_patches() -> Dataset:
    """12x12 grey patches of scikit-learn's two sample photographs, each at a third of its size."""
    return _patches("grey_patches", side=12, scale=3, grey=True)


def colour_patches() -> Dataset:
    """32x32 colour patches of scikit-learn's two sample photographs."""
    return _patches("colour_patches", side=32, scale=1, grey=False)


def _patches(name: str, *, side: int, scale: int, grey: bool) -> Dataset:
    """5,000 patches out of square tiles of twice their side; each tile is of one split only."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random = np.random.default_rng(0)
    photographs = [Image.fromarray(image) for image in load_sample_images().images]
    small = [p.resize((p.width // scale, p.height // scale)) for p in photographs]
    arrays = [np.atleast_3d(np.asarray(p.convert("L" if grey else "RGB"))) for p in small]
    tile = 2 * side
    tiles = [
        photograph[y : y + tile, x : x + tile]
        for photograph in arrays
        for y in range(0, photograph.shape[0] - tile + 1, tile)
        for x in range(0, photograph.shape[1] - tile + 1, tile)
    ]
    order = random.permutation(len(tiles))
    fifth = len(tiles) // 5
    train, selection, test = (
        np.stack([_patch(tiles[random.choice(part)], side, random) for _ in range(count)])
        for part, count in (
            (order[2 * fifth :], 4_000),
            (order[:fifth], 500),
            (order[fifth : 2 * fifth], 500),
        )
    )
    return Dataset(name, "pictures", train=train, selection=selection, test=test)


def _patch(tile: NDArray[np.uint8], side: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A patch [C, side, side] of a tile [2 side, 2 side, C]."""
    y, x = random.integers(0, side + 1, size=2)
    return tile[y : y + side, x : x + side].transpose(2, 0, 1)


# ---------------------------------------------------------------- all


def _points(name: str, points: Floats) -> Dataset:
    order = split_order(name, len(points))
    return cut(name, "points", points.astype(np.float32)[order], None)


def _table(name: str, columns: dict[str, Floats]) -> Dataset:
    values = np.stack(list(columns.values()), axis=1).astype(np.float32)
    order = split_order(name, len(values))
    kinds = tuple(Column(column, "double") for column in columns)
    return cut(name, "points", values[order], None, columns=kinds)
