"""The generator that is served: the champion, and each new one as soon as it is promoted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime

from gan_tune.errors import GanTuneError
from gan_tune.model.generator import Generator
from gan_tune.words.wording import in_one_line

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
        """Look for a new version until cancelled. What fails is logged once and tried again."""
        if self._look is None:
            return
        complaint = ""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self._follow(self._look)
                complaint = ""
            except Exception as error:  # a new network may raise anything; the old one serves on
                said = str(error) if isinstance(error, GanTuneError) else in_one_line(error)
                if said != complaint:
                    complaint = said
                    logger.warning("still serving %s: %s", self.generator, complaint)

    async def _follow(self, look: Callable[[], int]) -> None:
        """Load the present version, if it is another one."""
        if await asyncio.to_thread(look) == self.generator.version:
            return
        self.generator = await asyncio.to_thread(lambda: _ready(self._load()))
        self.since = datetime.now(UTC)
        logger.warning("serving %s from now on", self.generator)


def _ready(generator: Generator) -> Generator:
    """Find out what is found out once, before the first request."""
    generator.sample(1)
    _ = generator.shape
    return generator
