"""`gan-tune pull`: a registered generator as a folder that needs no gan-tune."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gan_tune.service.folder_card import card
from gan_tune.service.registered_models import load_generator


@dataclass(frozen=True)
class Pulled:
    """A pulled folder.

    Attributes:
        model: name and version.
        files: its files with their sizes in bytes.
        onnx_deviation: the largest deviation of ONNX from torch that was measured; None without
            ONNX.
        without_onnx: why there is no ONNX file; empty if there is one.
    """

    model: str
    files: tuple[tuple[str, int], ...]
    onnx_deviation: float | None
    without_onnx: str


def pull(
    model: str, out: str | Path, *, tracking_uri: str | None = None, force: bool = False
) -> Pulled:
    """Write a registered generator into the folder ``out``, with all that is needed to draw.

    :mod:`gan_tune.model.folder` lists the files. The exported program and ONNX are made anew from
    the weights, and compared with the generator: bit for bit, and to 1e-5.

    Args:
        model: a name as for :func:`load_generator`.
        out: a new folder.
        tracking_uri: of MLflow.
        force: replace an earlier such folder.

    Raises:
        OutputError: the folder exists already and ``force`` is False, or it cannot be written.
        ModelNotFoundError: there is no such model.
        TrackingError: MLflow does not answer.
    """
    from gan_tune.model.folder import check_folder, write_folder

    folder = Path(out)
    check_folder(folder, force=force)
    generator = load_generator(model, tracking_uri=tracking_uri)
    exports = write_folder(generator, folder, lambda made: card(generator, made))
    files = tuple(sorted((file.name, file.stat().st_size) for file in folder.iterdir()))
    return Pulled(str(generator), files, exports.onnx_deviation, exports.without_onnx)
