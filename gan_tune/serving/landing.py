"""The page behind a link with a token: it keeps the token out of the browser's address bar."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["Landing"]

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>gan-tune</title>
<noscript>These pages need JavaScript.</noscript>
<script>
  const first = "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1";
  if (localStorage.getItem(first) === null) localStorage.setItem(first, "true");
  location.replace(location.pathname + location.hash);
</script></html>
"""
"""Goes on to the page that the link's fragment names, which no server gets to see.

It is a page and no redirect: from a link on another site a browser would follow a redirect without
the cookie. MLflow opens a panel for its assistant at a browser's first visit, over the half of what
is shown. It does so once, and this says that it has."""


class Landing:
    """Answers `PATH?token=...` itself, and passes everything else on.

    Args:
        app: the application behind it.
        path: of the page to which the link leads.
    """

    def __init__(self, app: ASGIApp, path: str = "/") -> None:
        self._app, self._path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        linked = scope["type"] == "http" and scope["path"] == self._path
        if linked and "token" in parse_qs(scope["query_string"].decode("latin-1")):
            await HTMLResponse(PAGE, headers={"Cache-Control": "no-store"})(scope, receive, send)
        else:
            await self._app(scope, receive, send)
