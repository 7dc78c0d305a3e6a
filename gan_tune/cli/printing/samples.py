"""The drawing of samples and pulled folders, printed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.words.readable import file_size
from gan_tune.words.tables import table
from gan_tune.words.terminal import busy, console, print_line, say

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.status import Status

    from gan_tune.model.generator import Generator
    from gan_tune.samples.formats import Samples
    from gan_tune.service import Pulled

__all__ = ["drawing", "print_pulled"]


class _Drawing:
    """Prints what will be written, then shows a bar on a terminal."""

    def __init__(self, loading: Status) -> None:
        self._loading = loading
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def begins(self, generator: Generator, samples: Samples, size: str) -> None:
        """The generator is loaded; ``size`` is that of what will be written."""
        from rich.console import Console
        from rich.progress import Progress

        self._loading.stop()
        shape = " x ".join(map(str, samples.shape))
        say(f"writing {samples.count:,} samples of {shape} values, {size}")
        # To stderr, and there only on a terminal.
        terminal = Console(stderr=True)
        self._progress = Progress(
            console=terminal, transient=True, disable=not terminal.is_terminal
        )
        self._progress.start()
        self._task = self._progress.add_task("drawing", total=samples.count)

    def drawn(self, count: int) -> None:
        """So many more samples are written."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, advance=count)

    def end(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()


@contextmanager
def drawing() -> Iterator[_Drawing]:
    """A watcher of :func:`gan_tune.service.generate`."""
    with busy("loading the generator") as loading:
        watcher = _Drawing(loading)
        try:
            yield watcher
        finally:
            watcher.end()


def print_pulled(pulled: Pulled, folder: Path) -> None:
    """A pulled folder: its files, and how to draw from them."""
    out = console()
    rows = table("file", "size", title=f"{pulled.model} in {folder}")
    for name, size in pulled.files:
        rows.add_row(name, file_size(size))
    out.print(rows)
    if pulled.without_onnx:
        print_line(out, f"no ONNX file: {pulled.without_onnx}")
    else:
        print_line(out, f"ONNX deviates from torch by at most {pulled.onnx_deviation:.1e}")
    print_line(out, f"draw from it: python {folder}/draw_with_torch.py -n 64 --out samples.pt")
