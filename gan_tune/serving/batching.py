"""A queue of orders before one thread that draws: whatever waits is drawn together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from gan_tune.model.generator import Generator
from gan_tune.serving.drawing import Drawn, Order, draw_together

__all__ = ["Batcher", "QueueFull"]

ROWS = 1024
"""Samples up to which orders are drawn together; a larger order is drawn alone."""


class QueueFull(Exception):
    """As many orders as may are waiting."""


class _Waiting(NamedTuple):
    order: Order
    result: asyncio.Future[Drawn]


class Batcher:
    """Draws orders in one thread, since torch computes on all cores, and its random state is one.

    It belongs to one event loop. There is no waiting for more orders: the first is drawn at once,
    and those that come meanwhile are drawn together next.

    Args:
        generator: the present generator, asked anew for each batch.
        limit: the largest number of orders that wait.
        drawn: is told the number of orders and samples of each batch, and its seconds.
    """

    def __init__(
        self,
        generator: Callable[[], Generator],
        *,
        limit: int,
        drawn: Callable[[int, int, float], None],
    ) -> None:
        self._generator, self._limit, self._drawn = generator, limit, drawn
        self._waiting: deque[_Waiting] = deque()
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="gan-tune-draws")

    @property
    def waiting(self) -> int:
        """How many orders wait."""
        return len(self._waiting)

    async def draw(self, order: Order) -> Drawn:
        """The samples of an order.

        Raises:
            QueueFull: too many orders wait.
        """
        if len(self._waiting) >= self._limit:
            raise QueueFull
        entry = _Waiting(order, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._wake.set()
        return await entry.result

    async def run(self) -> None:
        """Draw until cancelled; then nothing waits any more."""
        try:
            while True:
                await self._wake.wait()
                if batch := self._next():
                    await self._draw(batch)
                else:
                    self._wake.clear()
        finally:
            self._thread.shutdown(wait=False)
            for entry in self._waiting:
                entry.result.cancel()

    def _next(self) -> list[_Waiting]:
        """The orders of the next batch, first come first served."""
        batch: list[_Waiting] = []
        rows = 0
        while self._waiting and (not batch or rows + self._waiting[0].order.n <= ROWS):
            entry = self._waiting.popleft()
            if not entry.result.done():  # the client has left
                batch.append(entry)
                rows += entry.order.n
        return batch

    async def _draw(self, batch: Sequence[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        orders = [entry.order for entry in batch]
        try:
            found = await loop.run_in_executor(
                self._thread, draw_together, self._generator(), orders
            )
        except Exception as error:  # a network may raise anything; others must still be served
            for entry in batch:
                if not entry.result.done():
                    entry.result.set_exception(error)
            return
        self._drawn(len(orders), sum(order.n for order in orders), loop.time() - began)
        for entry, drawn in zip(batch, found, strict=True):
            if not entry.result.done():
                entry.result.set_result(drawn)
