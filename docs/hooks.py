"""What mkdocs does beside its plugins: references of docstrings become plain code."""

from __future__ import annotations

import re

ROLE = re.compile(r":(?:func|class|meth|data|mod|attr):<code>~?\.*(?:[\w.]*\.)?(\w+)</code>")


def on_page_content(html: str, **_: object) -> str:
    """Write `:func:`load_space`` as `load_space`."""
    return ROLE.sub(r"<code>\1</code>", html)
