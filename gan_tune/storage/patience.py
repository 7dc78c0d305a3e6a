"""Outages of what a search is stored in: what they look like, and how long they are waited for."""

from __future__ import annotations

import errno
import logging
import re
import time
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception_type, wait_exponential

from gan_tune.errors import OutageError, StorageError

__all__ = ["NONE", "OUTAGE_MINUTES", "Outage", "Patience", "is_away", "is_outage"]

logger = logging.getLogger("gan_tune")

Answer = TypeVar("Answer")

OUTAGE_MINUTES = 10.0
"""How long a search waits for its storage and its study by default."""

LONGEST_WAIT = 5.0
"""Seconds between two tries."""

OF_THE_MACHINE = frozenset(
    {
        errno.EIO, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ESTALE, errno.ENODEV, errno.ENXIO,
        errno.ENOTCONN, errno.ECONNRESET, errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTDOWN,
        errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.EMFILE, errno.ENFILE,
        errno.EREMOTEIO,
    }
)  # fmt: skip
"""What a disk, a mount or a network says when it fails, whatever the program does."""

_AWAY = re.compile(
    r"Connection (?:refused|reset)|could ?n[o']t connect|time(?:d ?|_?)out|closed .*unexpectedly|"
    r"starting up|shutting down|recovery mode|too many (?:clients|connections)|"
    r"no route to host|unreachable|SERVICE_UNAVAILABLE|SLOW_DOWN|INTERNAL_FAILURE|"
    r"HTTP response code 50[0234]|curlCode: (?:7|28|52|55|56)\b",
    re.IGNORECASE,
)
"""How a store or a database says that it may work later. A host that nobody knows is a mistake."""

_REFUSED = re.compile(
    r"authentication failed|access denied|no pg_hba\.conf entry|does not exist|unknown database|"
    r"permission denied",
    re.IGNORECASE,
)
"""What a database answers that works. It may have two addresses, and the other one be dead."""

REFUSALS = ("ACCESS_DENIED", "NO_SUCH_BUCKET", "INVALID_ACCESS_KEY", "SIGNATURE", "ACCESS TOKEN")
"""What a bucket's store answers if it works, and refuses."""


def is_outage(error: BaseException, *, remote: bool = False) -> bool:
    """Whether an error says that a disk or a network fails now, and may work later.

    ``remote``: it comes from a bucket's store, whose errors have texts instead of numbers.
    """
    if isinstance(error, ConnectionError | TimeoutError):
        return True
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in OF_THE_MACHINE
    return remote and not any(word in str(error).upper() for word in REFUSALS)


def is_away(text: str) -> bool:
    """Whether a store or a database says that it takes no connection now, or no request."""
    return _AWAY.search(text) is not None and _REFUSED.search(text) is None


class Outage(Exception):
    """What an action that :class:`Patience` runs raises if it may work later."""


def _nothing() -> None:
    pass


class Patience:
    """Tries again what fails in an outage, with one line at its beginning and one at its end.

    Args:
        minutes: how long in all; 0: an outage is an error at once.
        what: fails, as the line names it.

    A search's lease (:mod:`gan_tune.storage.lease`) uses these to protect what its holder writes:

    Attributes:
        before: called before each try; it raises if nothing may be done now.
        refused: raised at each call from now on; None: nothing is refused.
    """

    def __init__(self, minutes: float, what: str) -> None:
        self.minutes, self._what = minutes, what
        self.before: Callable[[], object] = _nothing
        self.refused: StorageError | None = None
        self._since: float | None = None  # None while all works
        self._gave_up = False

    def __reduce__(self) -> tuple[type[Patience], tuple[float, str]]:
        return Patience, (self.minutes, self._what)

    def __call__(self, action: Callable[[], Answer]) -> Answer:
        """What ``action`` returns, when it works.

        Raises:
            OutageError: it raised :class:`Outage` for too long.
            StorageError: everything is refused.
        """

        try:
            answer = self._once(action)
        except Outage as error:
            answer = self._until_it_works(action, error)
        if self._since is not None:
            seconds = time.monotonic() - self._since
            self._since = None
            logger.warning("%s works again after %.0f s", self._what, seconds)
        return answer

    def _once(self, action: Callable[[], Answer]) -> Answer:
        if self.refused is None:
            self.before()
        if self.refused is not None:
            raise self.refused
        return action()

    def _until_it_works(self, action: Callable[[], Answer], failure: Outage) -> Answer:
        """What ``action`` returns in the end, whose first try has failed."""
        failures = [failure]

        def tried() -> Answer:
            if failures:
                raise failures.pop()
            return self._once(action)

        retrying = Retrying(
            retry=retry_if_exception_type(Outage),
            stop=self._is_over,
            wait=wait_exponential(multiplier=0.1, max=LONGEST_WAIT),
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(tried)
        except Outage as error:
            self._gave_up = True  # what is left to do is not waited for again
            raise OutageError(f"{error}; the same command goes on with the search") from None

    def give_up(self) -> None:
        """Wait no longer for an outage that lasts now."""
        self._gave_up = self._since is not None

    def _is_over(self, state: RetryCallState) -> bool:
        waited = time.monotonic() - (self._since or time.monotonic())
        return self._gave_up or waited >= 60 * self.minutes

    def _tell(self, state: RetryCallState) -> None:
        if self._since is not None:
            return
        self._since = time.monotonic()
        assert state.outcome is not None
        logger.warning(
            "%s fails since %s and is tried again for %g min: %s",
            self._what,
            datetime.now().strftime("%H:%M:%S"),
            self.minutes,
            state.outcome.exception(),
        )


NONE = Patience(0, "the storage")
"""Waits for nothing."""
