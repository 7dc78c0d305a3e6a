"""Text that leaves this process, in messages, logs and on the screen: no secrets, no control.

What is masked is the password of a URL, whatever characters it has, and the value of each key that
is named like a secret (`?token=`, `{password: ...}`, `X-Api-Key: ...`), also where either is
percent-encoded. A secret that nothing names is not known. Escaped are control characters, with
which a name could move the cursor, and those that turn the direction of writing.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from urllib.parse import unquote

__all__ = [
    "HIDDEN",
    "escaped",
    "is_secret",
    "masked",
    "outgoing",
    "outgoing_line",
    "quiet_about_secrets",
]

HIDDEN = "***"

_SECRET = re.compile(
    r"(?:^|.*[._-])(?:pass|pw|sig|auth)\d*"
    r"|(?!(?:.*[._-])?(?:n|num|max|min|total)_tokens$)"  # counts of words
    r".*(?:password|passwd|passphrase|passcode|pwd|psw|token|secret"
    r"|credentials?|signature|(?:api|access|account|private|secret)[_-]?key(?:[_-]?id)?)s?\d*",
    re.IGNORECASE,
)
_USERINFO = re.compile(r"(?<![\w+.-])(?:[A-Za-z][A-Za-z0-9+.-]*:/{0,2}|(?<![:/])//)[^\s/:@]*:")
"""A URL up to its password, with or without a scheme. With one slash or none it is misspelt, and
its password as secret."""
_SPACED = re.compile(
    r"(?<![\w+.-])([A-Za-z][A-Za-z0-9+.-]*:/{1,2}[^\s/:@[]*:)"
    r"(?!\d{1,5}(?:[:/?#\s'\",;)\]]|$))[^@\n]{0,256}@"
)
"""A URL whose password has a space, up to its host; what follows a port is no password."""
_LONE_TOKEN = re.compile(r"(https?://)[^\s/:?#]+@", re.IGNORECASE)
_BEARER = re.compile(r"(\bBearer\s+)[\w.~+/=-]{8,}")
_AUTHORIZATION = re.compile(
    r"""(\bAuthorization['"]?\s*[:=]\s*['"]?(?:Basic|Bearer|Digest|Token)\s+)[^\s'",]+""",
    re.IGNORECASE,
)
_KEY = re.compile(
    r"""(?<![^\s?&;#='",{(\[])(?P<equation>[^\s?&;#='",{(\[]+)(?:\[\w*\])?['"]?\s{0,3}=\s{0,3}"""
    r"""|(?<=['"])(?P<quoted>[\w.-]+)['"]\s*:\s*"""
    r"""|(?<=[{,])\s*(?P<plain>[\w.-]+)\s*:\s*"""
    r"""|(?<=\(['"])(?P<first>[\w.-]+)['"]\s*,\s*(?=['"])"""
    r"""|^(?:[ -]|\\n)*(?P<line>[\w.-]+):[ ]+(?=(?:'[^']*'|"[^"]*"|\S+)\s*$)""",
    re.MULTILINE,
)
"""What precedes a value: `key=`; a key of a mapping as Python, JSON and YAML write it; the first of
a pair; or a line's only word but one, as of a header."""
_QUOTED = r"""[bBrRuUfF]?(?:"(?:[^"\\\n]|\\.|"")*"|'(?:[^'\\\n]|\\.|'')*')"""
_VALUE = re.compile(rf"""{_QUOTED}|[^\s&#'"]+""")
_ENTRY = re.compile(rf"""{_QUOTED}|[^,}}\]\n]+""")
_REST = re.compile(r"""[^\s&#'"]*""")
_REST_OF_ENTRY = re.compile(r"[^,}\]\n]*")


def outgoing(text: str) -> str:
    """A text as it may leave this process: :func:`escaped` and :func:`masked`."""
    return masked(escaped(text))  # escaped first: some control characters count as space


def outgoing_line(text: str) -> str:
    """As :func:`outgoing`, and line ends and tabs are escaped, too: a name begins no new line."""
    return masked(escaped(text).replace("\n", "\\n").replace("\t", "\\t"))


def masked(text: str) -> str:
    """The text with `***` in place of each secret."""
    text = _masked(text)
    return re.sub(r"\S+", lambda found: _decoded(found[0]), text) if "%" in text else text


def _masked(text: str) -> str:
    if "@" in text:
        text = re.sub(r"\S+", lambda found: _without_password(found[0]), text)
        text = _SPACED.sub(rf"\1{HIDDEN}@", text)
        text = _LONE_TOKEN.sub(rf"\1{HIDDEN}@", text)
    if any(mark in text for mark in "=:,"):
        text = _without_values(text)
    text = _AUTHORIZATION.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1{HIDDEN}", text)


def _decoded(word: str) -> str:
    """A percent-encoded word, decoded where only this shows that it has a secret."""
    if "%" not in word:
        return word
    plain = escaped(unquote(word))
    safe = _masked(plain)
    return word if safe == plain or safe.count(HIDDEN) <= word.count(HIDDEN) else safe


def is_secret(key: str) -> bool:
    """Whether a key, as of a mapping or of a URL's query, is named like a secret."""
    return _SECRET.fullmatch(unquote(key).strip()) is not None


def escaped(text: str) -> str:
    """The text with each control character and each that turns its direction as `\\x1b`.

    Line ends and tabs stay.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(c) if _is_control(c) else c for c in text)


def _without_password(word: str) -> str:
    end = word.rfind("@")  # a password may contain @, : and /
    start = _USERINFO.search(word, 0, max(0, end))
    return f"{word[: start.end()]}{HIDDEN}{word[end:]}" if start else word


def _without_values(text: str) -> str:
    """The text without the values of keys that are named like secrets."""
    parts, at = [], 0
    for found in _KEY.finditer(text):
        key = found["equation"] or found["quoted"] or found["plain"]
        key = key or found["first"] or found["line"]
        if found.start() < at or not is_secret(key.rstrip(":")):
            continue
        value = (_VALUE if found["equation"] else _ENTRY).match(text, found.end())
        if value is not None:
            quote = value[0][-1] if value[0][-1] in "'\"" else ""
            parts += [text[at : found.end()], f"{quote}{HIDDEN}{quote}"]
            at = max(value.end(), _end_of_nested(text, found.end()))
            if not quote:  # what follows a list at once is of the value, as for the next masking
                rest = (_REST if found["equation"] else _REST_OF_ENTRY).match(text, at)
                at = rest.end() if rest is not None else at
    return "".join([*parts, text[at:]])


def _end_of_nested(text: str, start: int) -> int:
    """Where the list or mapping ends that begins at ``start``; ``start`` if none does."""
    depth = 0
    for place in range(start, len(text)):
        depth += (text[place] in "[{") - (text[place] in "]}")
        if depth <= 0:
            return place + (place > start)
    return len(text)


def _is_control(character: str) -> bool:
    # Cc and Cf: control and format; Zl and Zp end a line; Cs cannot be printed at all.
    kind = unicodedata.category(character)
    return character not in "\n\t" and kind in ("Cc", "Cf", "Zl", "Zp", "Cs")


def _escape(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Outgoing(logging.Filter):
    """Makes each record of a logger :func:`outgoing`, with the traceback that it carries."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = outgoing(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = outgoing(logging.Formatter().formatException(record.exc_info))
        return True


def quiet_about_secrets(logger: logging.Logger) -> None:
    """Let nothing leave by a logger that :func:`outgoing` would change; once is enough."""
    if not any(isinstance(one, _Outgoing) for one in logger.filters):
        logger.addFilter(_Outgoing())
