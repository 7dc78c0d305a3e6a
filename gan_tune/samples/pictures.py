"""Samples as pictures: a grid of small pictures, points over the data, and both with words."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import pixels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "SheetBlock",
    "background",
    "by_step",
    "clouds",
    "curves",
    "grid",
    "png",
    "scatter",
    "shares_below",
    "sheet",
]

CELL = 64
"""Small pictures in a grid are enlarged, without smoothing, to at most this many pixels a side."""
SMALL_CELL = 32
"""The same limit for the grids of trials, of which many are stored."""
CANVAS = 384
"""Side of a plot of points, in pixels."""
SMALL_CANVAS = 256
"""The same for the plots of trials: the size of MLflow's thumbnails."""
PADDING = 2
DRAWN = 2_500
"""Largest number of data points in a plot, since a table may be larger than memory."""
WIDE = 30.0
"""Values that span more than this factor are drawn on a logarithmic axis."""
DOTS = 100
"""Pixels per inch of matplotlib's figures."""


def grid(samples: Tensor, *, columns: int = 8, cell: int = CELL) -> Tensor:
    """Pictures [N, C, H, W] in [0, 1] as one uint8 picture [H', W', 3].

    Small ones are enlarged to at most ``cell`` pixels a side. Grey ones get three equal channels.
    One picture alone gets no frame.

    The sheet is that of torchvision's `make_grid`. torchvision itself imports PyTorch's compiler,
    over a second of each worker's start.
    """
    enlarge = max(1, cell // samples.shape[-1])
    tiles = samples.repeat_interleave(enlarge, -1).repeat_interleave(enlarge, -2)
    tiles = torch.nan_to_num(tiles.cpu())
    if tiles.shape[1] == 1:
        tiles = tiles.expand(-1, 3, -1, -1)
    sheet = tiles[0] if len(tiles) == 1 else _framed(tiles, min(columns, len(tiles)))
    return pixels(sheet).permute(1, 2, 0).contiguous()


def _framed(tiles: Tensor, columns: int) -> Tensor:
    """Pictures [N, C, H, W] row by row on a grey sheet [C, H', W'], with frames of PADDING."""
    height, width = (side + PADDING for side in tiles.shape[2:])
    rows = math.ceil(len(tiles) / columns)
    sheet = tiles.new_full(
        (tiles.shape[1], rows * height + PADDING, columns * width + PADDING), 0.5
    )
    for place, tile in enumerate(tiles):
        top, left = (place // columns) * height, (place % columns) * width
        sheet[:, top + PADDING : top + height, left + PADDING : left + width] = tile
    return sheet


def scatter(samples: Tensor, dataset: Dataset, *, side: int = CANVAS) -> Tensor:
    """Points [N, D] (blue) over the data's (grey), first two coordinates, uint8 [side, side, 3].

    If there is only one coordinate, the other is 0. The axes have the same unit only for a mixture;
    the columns of a table may have different units.

    Drawn by hand on a raster: a plotting library would take longer than the training step between
    two reports.
    """
    real = _plane(background(dataset))
    low, high = real.min(0), real.max(0)
    span = high - low
    reach = span if dataset.mixture is None else span.max().repeat(2)
    margin = np.where(reach > 0, 0.25 * reach, 1.0)  # a constant column has no span
    low, high = low - margin, high + margin
    canvas = np.full((side, side, 3), 255, np.uint8)
    fake = _plane(samples)
    for points, colour in ((real, (190, 190, 190)), (fake, (31, 119, 180))):
        inside = ((points >= low) & (points <= high)).all(1)
        places = ((points[inside] - low) / (high - low) * (side - 2)).astype(int)
        for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
            canvas[side - 1 - (places[:, 1] + dy), places[:, 0] + dx] = colour
    return torch.from_numpy(canvas)


def background(dataset: Dataset) -> Tensor:
    """At most :data:`DRAWN` points of the selection split, evenly over its rows: [N, D]."""
    every = math.ceil(len(dataset.selection) / DRAWN)
    return torch.tensor(dataset.selection[::every])


def _plane(points: Tensor) -> NDArray[np.float64]:
    """The first two coordinates of points [N, D], as [N, 2]; the second is 0 if D is 1.

    In float64, in which the span of float32 values cannot overflow.
    """
    first = torch.nan_to_num(points[:, :2].detach().cpu()).double()
    padded: NDArray[np.float64] = pad(first, (0, 2 - first.shape[1])).numpy()
    return padded


def png(picture: Tensor) -> bytes:
    """A uint8 picture [H, W, 3] as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(picture.numpy()).save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()


# ------------------------------------------------------------------ with titles and axes
# These are drawn a few times a search, so by matplotlib, which is loaded when it is needed.


@dataclass(frozen=True, eq=False)
class SheetBlock:
    """Pictures [R, K, C, H, W] in [0, 1] that stand together, with titles of rows and columns."""

    samples: Tensor
    title: str = ""
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()


def sheet(blocks: Sequence[SheetBlock], *, title: str) -> bytes:
    """Blocks with the same number of rows, side by side, as PNG."""
    tiled = [grid(b.samples.flatten(0, 1), columns=b.samples.shape[1]).numpy() for b in blocks]
    widths = [picture.shape[1] for picture in tiled]
    height = tiled[0].shape[0]
    figure = _figure((sum(widths) + 60 * len(blocks)) / DOTS, (height + 100) / DOTS)
    places = figure.subplots(1, len(blocks), squeeze=False, width_ratios=widths)[0]
    for axes, block, picture in zip(places, blocks, tiled, strict=True):
        axes.imshow(picture)
        axes.set_title(block.title, fontsize=9)
        axes.set_xticks(_middles(picture.shape[1], block.samples.shape[1], block.columns))
        axes.set_xticklabels(block.columns)
        axes.set_yticks(_middles(height, block.samples.shape[0], block.rows))
        axes.set_yticklabels(block.rows)
        axes.tick_params(length=0, labelsize=8)
        axes.spines[:].set_visible(False)
    return _finished(figure, title)


def curves(
    paths: Mapping[str, Tensor], data: Tensor, *, title: str, one_unit: bool = False
) -> bytes:
    """Named paths of points [K, D] over the data's points [N, D] (grey), as PNG.

    Only the first two coordinates are shown. A dot marks the middle of each path. With
    ``one_unit``, both axes have the same scale.
    """
    figure = _figure(7, 6)
    axes = figure.add_subplot()
    x, y = _plane(data).T
    axes.scatter(x, y, s=3, color="0.8", linewidths=0, label="data")
    for name, path in paths.items():
        points = _plane(path)
        (line,) = axes.plot(*points.T, linewidth=1.2, label=name)
        axes.plot(*points[len(points) // 2], "o", markersize=4, color=line.get_color())
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")
    if one_unit:
        axes.set_aspect("equal", adjustable="datalim")
    _legend(axes)
    return _finished(figure, title)


def clouds(points: Mapping[str, Tensor], *, title: str) -> bytes:
    """Named sets of points [N, D], each in a plot of its own on the same axes, as PNG.

    Only the first two coordinates are shown.
    """
    figure = _figure(4.5 * len(points), 4.5)
    places = figure.subplots(1, len(points), squeeze=False, sharex=True, sharey=True)[0]
    for axes, (name, drawn) in zip(places, points.items(), strict=True):
        axes.scatter(*_plane(drawn).T, s=3, linewidths=0)
        axes.set_title(name, fontsize=9)
    return _finished(figure, title)


def shares_below(distances: Mapping[str, Tensor], *, axis: str, title: str) -> bytes:
    """The cumulative distribution of each named set of distances [N], as PNG.

    The axis of distances is logarithmic. Distances at or near 0 are drawn at its left end.
    """
    typical = max(float(drawn.quantile(0.5)) for drawn in distances.values())
    figure = _figure(7, 4.5)
    axes = figure.add_subplot()
    for name, drawn in distances.items():
        axes.ecdf(drawn.clamp_min(typical / 1_000 or 1).numpy(), label=name)
    axes.set_xscale("log")
    axes.set_xlabel(axis)
    axes.set_ylabel("share of them that is closer")
    _legend(axes)
    return _finished(figure, title)


def by_step(
    curves: Mapping[str, Mapping[int, float]],
    *,
    marked: str,
    axis: str,
    title: str,
    floor: float | None = None,
) -> bytes:
    """Values of named trials by step, as PNG.

    Args:
        curves: trial → step → value.
        marked: the trial whose curve is drawn thick.
        axis: what the values are.
        title: of the picture.
        floor: a value to compare with, that of real samples; None draws none.
    """
    figure = _figure(7, 4)
    axes = figure.add_subplot()
    for name, values in curves.items():
        thick = name == marked
        axes.plot(
            list(values),
            list(values.values()),
            marker=".",
            linewidth=2.2 if thick else 1.0,
            label=f"{name} (this one)" if thick else name,
        )
    if floor is not None:
        axes.axhline(floor, color="0.6", linestyle="--", label="real against real")
    shown = [value for values in curves.values() for value in values.values()]
    if shown and min(shown) > 0 and max(shown) > WIDE * min(shown):
        axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel(axis)
    _legend(axes)
    return _finished(figure, title)


def _figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    return Figure(figsize=(width, height), dpi=DOTS, layout="constrained")


def _finished(figure: Figure, title: str) -> bytes:
    figure.suptitle(title, fontsize=10, wrap=True)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _legend(axes: Axes) -> None:
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)


def _middles(length: int, count: int, titles: Sequence[str]) -> list[float]:
    """The middle of each cell of a grid, in pixels; empty if there are no titles."""
    cell = (length - PADDING) / count
    return [PADDING / 2 + cell * (i + 0.5) for i in range(count)] if titles else []
