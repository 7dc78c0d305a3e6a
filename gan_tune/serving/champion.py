"""The generator that is served: the champion, and each new one as soon as it is promoted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from gan_tune.errors import GanTuneError
from gan_tune.model.generator import Generator

__all__ = ["Champion"]

logger = logging.getLogger("gan_tune")


class Champion:
    """Holds the generator, and replaces it when another version has the alias.

    A batch that has begun is drawn with the generator that it began with, so no request is lost.

    Args:
        load: loads the present version.
        look: the number of the present version, without loading it; None: it never changes.
        every: seconds between two looks.
    """

    def __init__(
        self,
        load: Callable[[], Generator],
        look: Callable[[], int] | None = None,
        *,
        every: float = 5.0,
    ) -> None:
        self._load, self._look, self._every = load, look, every
        self.generator = _ready(load())
        self.since = datetime.now(UTC)

    async def watch(self) -> None:
        """Look for a new version until cancelled. What fails is logged and tried again."""
        if self._look is None:
            return
        complaint = ""
        while True:
            await asyncio.sleep(self._every)
            try:
                if await asyncio.to_thread(self._look) == self.generator.version:
                    continue
                self.generator = await asyncio.to_thread(lambda: _ready(self._load()))
                self.since = datetime.now(UTC)
                logger.warning("serving %s from now on", self.generator)
                complaint = ""
            except GanTuneError as error:
                if str(error) != complaint:
                    complaint = str(error)
                    logger.warning("still serving %s: %s", self.generator, complaint)


def _ready(generator: Generator) -> Generator:
    """Find out what is found out once, before the first request."""
    generator.sample(1)
    _ = generator.shape
    return generator
