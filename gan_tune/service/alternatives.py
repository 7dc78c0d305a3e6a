"""What there is in place of a name that is not there."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def there_are(name: str, known: Iterable[str]) -> str:
    """`there are: ...`, what is most alike first."""

    def unlike(other: str) -> float:
        return -difflib.SequenceMatcher(None, name.lower(), other.lower()).ratio()

    return f"there are: {', '.join(sorted(sorted(set(known)), key=unlike)) or 'none'}"
