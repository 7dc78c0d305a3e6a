"""Reads settings from the record of a search on any data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from gan_tune.config import Catalogue, TrialConfig
from gan_tune.errors import ConfigError
from gan_tune.experience.settings import Setting, setting_of

__all__ = ["recorded_setting"]

STAND_INS = {"points": "ring", "pictures": "digits"}
"""Kind of data → shipped data of that kind. The recorded data need not be there."""


def recorded_setting(
    params: Mapping[str, str], kind: str, catalogue: Catalogue
) -> tuple[Setting, TrialConfig] | None:
    """The setting of a recorded trial, and its config on stand-in data.

    None if this version cannot train it, or if it has a part that ``catalogue`` does not know.

    Args:
        params: as MLflow holds them.
        kind: of the data, `points` or `pictures`, if they are as now; the other kind is tried next.
        catalogue: of the parts that a setting may have.
    """
    kept = {path: text for path, text in params.items() if not path.startswith("data.")}
    kept |= {path: params[path] for path in ("data.batch_size",) if path in params}
    for stand_in in (STAND_INS[kind], *STAND_INS.values()):
        with suppress(ConfigError):
            config = TrialConfig.from_params({**kept, "data.name": stand_in}, catalogue)
            return setting_of(config), config
    return None
