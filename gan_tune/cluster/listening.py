"""Listening at an address of this machine."""

from __future__ import annotations

import errno
import os
import socket

from gan_tune.errors import OutputError

__all__ = ["listen"]

NOT_HERE = {errno.EADDRNOTAVAIL, errno.EINVAL}
"""What the system says of an address that is another machine's, or of no use without more."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at ``host:port``; port 0 takes a free one.

    Raises:
        OutputError: the host is not this machine's, or the port is taken or not allowed.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
        return socket.create_server(address, family=family, backlog=1024)
    except (OSError, UnicodeError) as error:
        raise OutputError(_refusal(error, host, port)) from None


def _refusal(error: OSError | UnicodeError, host: str, port: int) -> str:
    if isinstance(error, UnicodeError | socket.gaierror) or error.errno in NOT_HERE:
        return f"--host: must be an address of this machine, but got {host}"
    reason = os.strerror(error.errno or 0)  # the error's own text repeats the address
    return f"--port {port}: cannot listen on {host}:{port} ({reason}); give another --port"
