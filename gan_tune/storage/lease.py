"""The lease on a search: one command at a time works on it, and names itself to all others.

A lease is a file in the search's folder, `lease/NUMBER.json`; the highest number holds. It can be
made only where there is none (:meth:`Storage.create`), so of all that try at once one succeeds. Its
holder writes it anew every :data:`RENEWAL` seconds. Whoever finds it from another machine watches
it: if it has not changed for :data:`LIFE` seconds of the watcher's own clock, it has expired, and
the next number may be taken. Two machines' clocks are never compared. On the holder's own machine a
look at the process is enough.

A holder that was cut off for so long may have lost its lease. From then on whatever it asks of the
search's storage and study raises SearchLostError (:attr:`Patience.refused`), so it ends without
another word. It finds out when it renews the lease, and before any other request if the last
renewal is older than half a life.

DynamoDB's lock client watches leases in the same way, instead of trusting their dates:
https://aws.amazon.com/blogs/database/building-distributed-locks-with-the-dynamodb-lock-client/
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import NamedTuple

from gan_tune.errors import SearchLockedError, SearchLostError, StorageError
from gan_tune.storage.holder import Holder, earlier_holder, holder_in, now, this_process
from gan_tune.storage.patience import Outage, Patience
from gan_tune.storage.places import LEASES, driver_folder
from gan_tune.storage.storage import Storage

__all__ = ["LIFE", "RENEWAL", "hold", "holder_of"]

RENEWAL = 5.0
"""Seconds between two renewals."""

LIFE = 30.0
"""A lease that is not renewed for so many seconds has expired."""

LOOK = 1.0
"""Seconds between two looks at another one's lease."""

LOOKS = 5
"""Looks at a lease's file that is gone each time: whoever took the next number has deleted it."""

SKEW = 60.0
"""Seconds by which the clock of a holder elsewhere may be wrong before it seems dead."""


class _Lease(NamedTuple):
    """The lease with the highest number, as its file is; number 0: there is none."""

    number: int
    content: bytes

    @property
    def holder(self) -> Holder | None:
        return holder_in(self.content)


def _latest(home: Storage) -> _Lease:
    number, content = 0, None
    for _ in range(LOOKS):
        names = (re.fullmatch(r"(\d{1,15})\.json", name) for name in home.names(LEASES))
        number = max((int(match[1]) for match in names if match), default=0)
        content = home.read(_at(number)) if number else b""
        if content is not None:
            break
    return _Lease(number, content or b"")


def _at(number: int) -> str:
    return f"{LEASES}/{number:06d}.json"


def holder_of(home: Storage, name: str) -> str:
    """Who works on a search, in words; empty if nobody does. One look, so it may be out of date."""
    holder = _latest(home).holder
    if holder is None or holder.ended:
        return earlier_holder(driver_folder(home, name))
    lives = holder.is_alive if holder.is_here else holder.age < LIFE + SKEW
    return str(holder) if lives else ""


# ---------------------------------------------------------------- taking


@contextmanager
def hold(
    home: Storage, name: str, show: Callable[[str], object] = lambda text: None
) -> Iterator[None]:
    """Hold the lease on a search while the block runs.

    Args:
        home: the search's folder, with a patience of its own (:meth:`Storage.patient`). What is
            asked of it is protected meanwhile.
        name: of the search.
        show: is told that a lease from elsewhere is watched, for up to :data:`LIFE` seconds.

    Raises:
        SearchLockedError: another command works on the search; the message names it.
        StorageError: the folder cannot be written, or the bucket cannot write on condition.
    """
    plain, protected = home.patient(0), home.patience
    held = _Held(plain, name, *_take(plain, name, show), protected)
    before, protected.before = protected.before, held.check
    held.start()
    try:
        yield
    finally:
        protected.before = before
        held.end()


def _take(home: Storage, name: str, show: Callable[[str], object]) -> tuple[int, Holder]:
    """Take the lease after the latest, if that has ended."""
    if earlier := earlier_holder(driver_folder(home, name)):
        raise _locked(name, earlier)
    latest = _latest(home)
    if not _has_ended(home, latest, show):
        raise _locked(name, _latest(home).holder)
    number, mine = latest.number + 1, this_process()
    if not home.create(_at(number), _content(mine)):
        raise _locked(name, _latest(home).holder)
    if home.folder is None and home.create(_at(number), _content(this_process())):
        home.delete(_at(number))
        raise StorageError(
            f"storage: {home.uri} must refuse to create a file that exists, but its store does not "
            "know conditional writes, so two commands might work on one search"
        )
    if (latest := _latest(home)).number != number:  # this process was late, and another's is newer
        home.delete(_at(number))
        raise _locked(name, latest.holder)
    for before in home.names(LEASES):
        if f"{LEASES}/{before}" != _at(number):
            home.delete(f"{LEASES}/{before}")
    return number, mine


def _has_ended(home: Storage, lease: _Lease, show: Callable[[str], object]) -> bool:
    """Whether nobody holds a lease any more; one from elsewhere is watched."""
    holder = lease.holder
    if lease.number == 0 or (holder is not None and holder.ended):
        return True
    if holder is not None and holder.is_here:
        return not holder.is_alive
    show(f"waiting up to {LIFE:.0f} s to see whether {holder or 'another command'} is still alive")
    deadline = time.monotonic() + LIFE
    while time.monotonic() < deadline:
        time.sleep(LOOK)
        if (seen := _latest(home)) != lease:
            after = seen.holder
            return seen.number == lease.number and after is not None and after.ended
    return True


def _locked(name: str, holder: Holder | str | None) -> SearchLockedError:
    return SearchLockedError(
        f"{name}: this search is being worked on by {holder or 'another process'}; wait for it, or "
        "give another --name"
    )


def _content(holder: Holder) -> bytes:
    return json.dumps(asdict(holder), indent=1).encode()


# ---------------------------------------------------------------- holding


class _Held:
    """The lease that this process holds, and the thread that renews it.

    Args:
        home: the search's folder.
        name: of the search.
        number: of the lease.
        holder: this process, as the lease names it.
        protected: refuses everything once the lease is lost.
    """

    def __init__(
        self, home: Storage, name: str, number: int, holder: Holder, protected: Patience
    ) -> None:
        self._home, self._name, self._number, self._holder = home, name, number, holder
        self._protected = protected
        self._one_at_a_time, self._over = threading.Lock(), threading.Event()
        self._renewed = _seconds()
        self._thread = threading.Thread(target=self._renew, name="gan-tune-lease", daemon=True)

    def start(self) -> None:
        """Begin to renew it."""
        self._thread.start()

    def check(self) -> None:
        """See to it that the last renewal is recent.

        Raises:
            Outage: it is not, and the storage does not work.
        """
        if _seconds() - self._renewed > LIFE / 2:
            try:
                self._write()
            except StorageError as error:
                raise Outage(str(error)) from None

    def end(self) -> None:
        """Leave the search free. If that cannot be written, the lease expires."""
        self._over.set()
        self._thread.join(LIFE)
        with suppress(StorageError):
            self._write(ended=True)

    def _renew(self) -> None:
        while not self._over.wait(RENEWAL) and self._protected.refused is None:
            with suppress(StorageError):  # whoever needs the storage tells of its outage
                self._write()

    def _write(self, *, ended: bool = False) -> None:
        """Write the lease's file anew, if it is still the latest one."""
        with self._one_at_a_time:
            begun, latest = _seconds(), _latest(self._home)
            if latest.number != self._number or not self._is_own(latest.holder):
                self._lose(latest.holder)
            if self._protected.refused is None:
                written = replace(self._holder, renewed=now(), ended=ended)
                self._home.write(_at(self._number), _content(written))
                self._renewed = begun

    def _is_own(self, holder: Holder | None) -> bool:
        return holder is not None and holder.token == self._holder.token

    def _lose(self, holder: Holder | None) -> None:
        self._protected.refused = SearchLostError(
            f"{self._name}: this command could not say for {LIFE:.0f} s that it works on the "
            f"search, so another one has taken it over: {holder or 'its lease is gone'}"
        )


def _seconds() -> float:
    """Seconds of a clock that goes on while the machine sleeps, where there is one."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
