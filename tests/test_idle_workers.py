"""Workers that no trial needs: warm for a while, then let go."""

from __future__ import annotations

from dataclasses import dataclass

from gan_tune.searching.on_ray.idle_workers import IDLE_SECONDS, IdleWorkers


@dataclass
class Workers:
    """As Tune keeps them."""

    idle_workers: int = 0
    ended: int = 0

    def end_idle_workers(self) -> None:
        self.ended += self.idle_workers
        self.idle_workers = 0


def test_workers_that_were_idle_for_a_while_are_ended() -> None:
    now, workers = [0.0], Workers()
    idle = IdleWorkers(workers, lambda: now[0])

    def after(seconds: float, count: int) -> int:
        now[0] += seconds
        workers.idle_workers = count
        idle.look()
        return workers.ended

    assert after(0, 3) == 0
    assert after(IDLE_SECONDS, 3) == 0
    assert after(1, 0) == 0, "all train again"
    assert after(1, 2) == 0
    assert after(IDLE_SECONDS, 1) == 0
    assert after(1, 2) == 2
    assert after(IDLE_SECONDS, 1) == 2, "the next ones begin anew"
    assert after(IDLE_SECONDS + 1, 1) == 3
