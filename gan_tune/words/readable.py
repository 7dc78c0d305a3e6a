"""Figures and settings in readable form."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from gan_tune.words.outcomes import SHOWN_ORDER

__all__ = ["clock", "counted", "file_size", "gibibytes", "number", "plural", "short_form"]


def number(value: float | None) -> str:
    """Four significant digits: `12.35`; a dash for None."""
    return "-" if value is None else f"{value:.4g}"


def clock(seconds: float) -> str:
    """Seconds as `1:02:03`; a dash if they are not finite."""
    if not math.isfinite(seconds):
        return "-"
    minutes, rest = divmod(int(max(0.0, seconds)), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def gibibytes(size: float) -> str:
    """A number of bytes as `1.25 GiB`."""
    return f"{size / 2**30:.3g} GiB"


def file_size(size: float) -> str:
    """A number of bytes as `1.25 MB`, in decimal units as file managers show it."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def counted(counts: Mapping[str, int]) -> str:
    """Numbers by outcome: `completed 3, pruned 12`."""
    known = [name for name in SHOWN_ORDER if counts.get(name)]
    return ", ".join(f"{name} {counts[name]}" for name in known) or "none yet"


def plural(count: int, word: str) -> str:
    """A number of things: `1 trial`, `2 trials`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def short_form(decided: Mapping[str, Any]) -> str:
    """A search's decisions in one line: `loss=hinge G=adam(lr=0.0002 beta1=0.5) ema=0.99`.

    Values below an option of a choice are in brackets after it; `none` is left out.
    """
    return " ".join(_short_entries(decided, ""))


def _short_entries(decided: Mapping[str, Any], above: str) -> Iterator[str]:
    names = [name for name in decided if name.startswith(above)]
    for name in names:
        if any(name.startswith(f"{other}.") for other in names):
            continue  # in the brackets of the choice above it
        value = decided[name]
        inside = " ".join(_short_entries(decided, f"{name}.{value}."))
        if value in ("none", None):
            continue
        shown = f"{value:.3g}" if isinstance(value, float) else str(value)
        label = _abbreviated(name.removeprefix(above))
        yield f"{label}={shown}" + (f"({inside})" if inside else "")


def _abbreviated(name: str) -> str:
    words = [word for word in name.split(".") if not word.isdigit()] or [name]
    text = ".".join(words)
    for long, short in (
        ("generator", "G"),
        ("discriminator", "D"),
        ("_optimizer", ""),
        ("gradient_clip", "clip"),
        ("penalties", "penalty"),
    ):
        text = text.replace(long, short)
    return text
