"""A search's result for notebooks: a table, plots, pictures. What is heavy is imported on use."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gan_tune.words.readable import number, short_form

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image
    from plotly.graph_objects import Figure

    from gan_tune.model.generator import Generator
    from gan_tune.searching.study.leaderboard_row import Row
    from gan_tune.storage.storage import Storage

__all__ = ["as_html", "plot", "samples_picture", "trials_table"]

TEMPLATE = "result.html.jinja"
ROWS_SHOWN = 10


def trials_table(leaderboard: Sequence[Row]) -> pandas.DataFrame:
    """The leaderboard, with a column for each objective and for each value that was decided."""
    import pandas

    rows = []
    for row in leaderboard:
        plain = row.to_json()
        decided, further = plain.pop("changes"), plain.pop("further")
        rows.append(plain | further | decided)
    table = pandas.DataFrame(rows)
    return table.set_index("setting") if rows else table


def plot(name: str, metric: str, home: Storage, which: str, study: str | None) -> Figure:
    """One of :data:`gan_tune.searching.study.plots.PLOTS`; an empty one says why it is left out.

    Args:
        name: of the search.
        metric: its objective.
        home: its folder.
        which: a key of the table.
        study: URL of the study's database; None: it is in the folder.

    Raises:
        StorageError: the study is not there, or cannot be read.
    """
    from plotly.graph_objects import Figure

    from gan_tune.searching.study import plots
    from gan_tune.service.stored_study import read_study

    found = plots.figures(read_study(home, name, study), metric=metric, names=[which])[which]
    if isinstance(found, str):
        hidden = {"visible": False}
        drawn = Figure(layout={"xaxis": hidden, "yaxis": hidden, "height": 160})
        drawn.add_annotation(text=found, showarrow=False)
    else:
        drawn = found
    return drawn.update_layout(title=plots.PLOTS[which].title, margin_t=60)


def samples_picture(
    generator: Generator, config: Mapping[str, Any], count: int, seed: int
) -> Image:
    """Samples of a generator: a grid of pictures, or points over the data of ``config``."""
    from PIL import Image

    from gan_tune.config import TrialConfig
    from gan_tune.parts.all_parts import catalogue, dataset_of
    from gan_tune.samples import pictures

    samples = generator.sample(count, seed).cpu()
    if samples.dim() == 2:
        data = TrialConfig.from_tree(config, catalogue()).data
        drawn = pictures.scatter(samples, dataset_of(data))
    else:
        drawn = pictures.grid(samples)
    return Image.open(io.BytesIO(pictures.png(drawn)))


def as_html(lines: Sequence[str], leaderboard: Sequence[Row], png: bytes | None) -> str:
    """A result as a notebook shows it: lines of text, the champion's picture, the best settings."""
    import jinja2

    from gan_tune.service.embedded import embedded_png

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "short": short_form}
    template = environment.from_string((files(__package__) / TEMPLATE).read_text("utf-8"))
    return template.render(
        lines=lines,
        rows=leaderboard[:ROWS_SHOWN],
        left=max(0, len(leaderboard) - ROWS_SHOWN),
        picture=embedded_png(png),
    )
