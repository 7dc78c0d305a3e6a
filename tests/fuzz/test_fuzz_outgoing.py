"""Whatever a line holds, no secret and no control character of it leaves the process."""

from __future__ import annotations

import json
import string
import unicodedata
from urllib.parse import quote

from fuzzing import lanes, refuses_or_takes
from hypothesis import strategies as st

from gan_tune.outgoing import masked, outgoing, outgoing_line

SCHEMES = ("postgresql", "mysql+pymysql", "http", "https", "s3", "redis")
NAMES = ("password", "passwd", "PASSWORD", "pwd", "token", "access_token", "api_key", "secret")
NAMES += ("passwords", "tokens", "X-Api-Key", "AWS_SECRET_ACCESS_KEY".replace("SECRET", "secret"))
HOSTS = ("h", "db.example.org", "h:5432", "localhost", "[::1]:80")
USERS = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=8).filter(
    lambda user: "SECRET" not in user  # Hypothesis also draws constants of this file
)
# The mark makes a secret recognisable; around it stand the signs that a URL is parsed by.
SECRETS = st.tuples(
    st.text(string.ascii_letters + string.digits + "@:/?#&=%+!$~.*-", max_size=6),
    st.text(string.ascii_letters + string.digits + "@:/!$~.*-", max_size=6),
).map(lambda around: f"{around[0]}SECRET{around[1]}")
PLAIN_SECRETS = st.text(string.ascii_letters + "@:/!$~.*-", max_size=6).map("SECRET".__add__)
IN_URLS = st.builds(
    lambda scheme, slashes, user, secret, host, path: (
        f"{scheme}:{'/' * slashes}{user}:{secret}@{host}{path}"
    ),
    st.sampled_from(SCHEMES), st.integers(0, 2), USERS, SECRETS, st.sampled_from(HOSTS),
    st.sampled_from(["", "/", "/db", "/db?sslmode=require", "/a/b.c"]),
)  # fmt: skip
IN_QUERIES = st.builds(
    lambda scheme, host, mark, name, secret, more: f"{scheme}://{host}/x{mark}{name}={secret}{more}",
    st.sampled_from(SCHEMES), st.sampled_from(HOSTS), st.sampled_from("?&;"),
    st.sampled_from(NAMES), PLAIN_SECRETS, st.sampled_from(["", "&a=1", "#x"]),
)  # fmt: skip
IN_SPACED_URLS = st.builds(
    lambda scheme, user, words, host: f"{scheme}://{user}:SECRET {' '.join(words)}SECRET@{host}/db",
    st.sampled_from(SCHEMES), USERS,
    st.lists(st.text(string.ascii_letters + "!$~.*-", max_size=4), max_size=3),
    st.sampled_from(HOSTS),
)  # fmt: skip
IN_ENCODED_URLS = IN_URLS.map(lambda url: f"http://h/x?url={quote(url, safe='')}")
ENTRIES = st.tuples(st.sampled_from(NAMES), PLAIN_SECRETS)
IN_MAPPINGS = ENTRIES.flatmap(
    lambda entry: st.sampled_from(
        [
            repr({"a": 1, entry[0]: entry[1]}),
            json.dumps(dict([entry])),
            f"{{a: 1, {entry[0]}: {entry[1]}}}",
            f"{{a: {{{entry[0]}: [1, {{b: {entry[1]}}}]}}}}",
            repr([entry]),
            f"host=h {entry[0]} = '{entry[1]}' port=1",
            f"{entry[0]}[0]={entry[1]}",
            f"Authorization: Basic {entry[1]}",
        ]
    )
)
ALONE = ENTRIES.map(lambda entry: f"a: 1\n  - {entry[0]}: {entry[1]}\n")
AROUND = st.sampled_from(
    ["{}", "error: {} does not answer", "--set search.studdy={}", "'{}'", "({})"]
)
INSIDE = st.one_of(IN_URLS, IN_SPACED_URLS, IN_ENCODED_URLS, IN_QUERIES, IN_MAPPINGS)
LINES = st.one_of(st.builds(str.format, AROUND, INSIDE), ALONE)


@lanes
def test_no_secret_leaves(examples: int) -> None:
    def check(line: str) -> None:
        for text in (line, f"{line} and {line}"):
            assert "SECRET" not in outgoing(text)
            assert masked(masked(text)) == masked(text)

    refuses_or_takes(examples, LINES, check)


@lanes
def test_no_control_character_leaves(examples: int) -> None:
    def check(text: str) -> None:
        kinds = {unicodedata.category(c) for c in outgoing_line(text)}
        assert not kinds & {"Cc", "Cf", "Zl", "Zp", "Cs"}
        outgoing(text).encode()

    odd = st.sampled_from(
        ["\x1b]0;x\x07", "\u202e", "\u2066", "\x9b", "\ufeff", "\ud800", "\n", "é"]
    )
    refuses_or_takes(examples, st.lists(st.one_of(st.text(), odd)).map("".join), check)
