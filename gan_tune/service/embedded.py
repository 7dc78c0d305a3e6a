"""Pictures as parts of a page."""

from __future__ import annotations

import base64
import io

from PIL import Image, UnidentifiedImageError

__all__ = ["UNREADABLE", "data_uri", "embedded_png"]

UNREADABLE = (
    UnidentifiedImageError,
    OSError,
    ValueError,
    SyntaxError,
    Image.DecompressionBombError,
)
"""What Pillow raises for bytes that are no sound picture of the named format."""


def embedded_png(content: bytes | None) -> str | None:
    """A PNG as a data URI; None if there is none, or if the bytes are anything else.

    A page is handed on: whatever else lies at a picture's place does not get into it.
    """
    if content is None:
        return None
    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as picture:
            picture.verify()
    except UNREADABLE:
        return None
    return data_uri("png", content)


def data_uri(kind: str, content: bytes) -> str:
    """A picture as a data URI; ``kind`` is `png` or `jpeg`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
