"""Who may ask: those with the token. The others on this machine are strangers."""

from __future__ import annotations

import hmac
import re
from collections import deque
from collections.abc import Sequence
from http.cookies import SimpleCookie
from urllib.parse import parse_qs

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["OPEN", "Guard"]

OPEN = ("/healthz",)
"""What is answered without the token."""
LARGEST_BODY = 64 * 1024
"""Bytes of a request's body."""


class Guard:
    """Refuses requests without the token (401) and large bodies (413), before anything is parsed.

    The token comes as `Authorization: Bearer TOKEN`, or as `?token=TOKEN` in a link, after which
    the browser keeps it in a cookie for this server alone. Web sockets are refused.

    Args:
        app: the application behind it.
        token: what must be shown; None: everybody may ask.
        unguarded: paths that are answered without the token.
        largest: bytes of a request's body.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        *,
        unguarded: Sequence[str] = OPEN,
        largest: int = LARGEST_BODY,
    ) -> None:
        self._app, self._token = app, token
        self._unguarded, self._largest = unguarded, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with an error."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        linked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        cookie = SimpleCookie()
        with_cookie = headers.get("cookie", "")
        try:
            cookie.load(with_cookie)
        except Exception:  # damaged cookies of other programs on this host
            cookie = SimpleCookie()
        named = _cookie_name(headers.get("host", ""))
        kept = cookie[named].value if named in cookie else ""
        scheme, _, shown = headers.get("authorization", "").partition(" ")
        shown = shown.strip() if scheme.lower() == "bearer" else ""
        if scope["path"] not in self._unguarded and not any(map(self._fits, (shown, linked, kept))):
            answer = JSONResponse(
                {"detail": "needs the header Authorization: Bearer TOKEN"},
                401,
                {"WWW-Authenticate": "Bearer"},
            )
            await answer(scope, receive, send)
            return
        body = await _body(receive, self._largest)
        if body is None:
            detail = f"the body must have at most {self._largest:,} bytes"
            await JSONResponse({"detail": detail}, 413)(scope, receive, send)
            return
        linked_now = self._fits(linked) and self._token is not None
        sent = _with_cookie(send, f"{named}={self._token}") if linked_now else send
        await self._app(scope, _once_more(body, receive), sent)

    def _fits(self, token: str) -> bool:
        if self._token is None:
            return True
        return hmac.compare_digest(token.encode(), self._token.encode())


def _cookie_name(host: str) -> str:
    """The cookie of the server that a browser calls ``host``, by its port.

    A browser sends the cookies of a host to all of its ports, and servers replace those of one
    name. Its own view of the port counts: tunnels may lead from one host to many.
    """
    port = re.search(r":([0-9]{1,5})$", host)
    return f"gan_tune_{port[1]}" if port else "gan_tune"


async def _body(receive: Receive, largest: int) -> list[Message] | None:
    """The messages of a request's body; None if it has more than ``largest`` bytes.

    They are counted as they come: the header `Content-Length` may be missing or wrong.
    """
    messages: list[Message] = []
    seen, more = 0, True
    while more:
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > largest:
            return None
        messages.append(message)
        more = message.get("more_body", False)
    return messages


def _once_more(messages: Sequence[Message], receive: Receive) -> Receive:
    """Messages that were received already, and then those that follow."""
    waiting = deque(messages)

    async def receiving() -> Message:
        return waiting.popleft() if waiting else await receive()

    return receiving


def _with_cookie(send: Send, kept: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            value = f"{kept}; HttpOnly; SameSite=Strict; Path=/"
            message["headers"] = [*message["headers"], (b"set-cookie", value.encode("latin-1"))]
        await send(message)

    return sending
