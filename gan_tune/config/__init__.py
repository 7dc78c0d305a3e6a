"""The config of one trial: a frozen, fully checked description of one training run.

A trial config is a tree of plain values. It names its *parts* (data, networks, loss, penalties,
optimizers, gradient rules). A part's arguments are read from its signature. The caller passes all
parts as a :class:`Catalogue`, so this package does not need torch.

    settings     a block of settings, and the plain values in it
    parts        a named part; the kind of part of each field
    arguments    the arguments of a part, read from its signature
    objective    the objective of a search
    blocks       the blocks of settings inside a trial
    draft        from a tree to a model, field by field
    recorded     dotted paths, the form of the record
    trial        the trial config
    rules        incompatibilities
    catalogue    all parts, passed by the caller
"""

from __future__ import annotations

from gan_tune.config.arguments import Argument, signature_arguments
from gan_tune.config.blocks import Block, CollapseRule, DivergenceRule, InstanceNoise, Lookahead
from gan_tune.config.catalogue import Catalogue
from gan_tune.config.draft import Draft
from gan_tune.config.objective import Objective
from gan_tune.config.parts import Part, PartKind, part_fields
from gan_tune.config.recorded import flatten
from gan_tune.config.rules import (
    Incompatibility,
    Ranged,
    SearchPlan,
    SearchRule,
    place_and_word,
)
from gan_tune.config.settings import Flag, Number, Settings, Text, Whole, block_fields
from gan_tune.config.trial import (
    BLOCK_FIELDS,
    KEYS_FOR_BOTH,
    PART_FIELDS,
    PART_LIST_FIELDS,
    TrialConfig,
)

__all__ = [
    "BLOCK_FIELDS",
    "KEYS_FOR_BOTH",
    "PART_FIELDS",
    "PART_LIST_FIELDS",
    "Argument",
    "Block",
    "Catalogue",
    "CollapseRule",
    "DivergenceRule",
    "Draft",
    "Flag",
    "Incompatibility",
    "InstanceNoise",
    "Lookahead",
    "Number",
    "Objective",
    "Part",
    "PartKind",
    "Ranged",
    "SearchPlan",
    "SearchRule",
    "Settings",
    "Text",
    "TrialConfig",
    "Whole",
    "block_fields",
    "flatten",
    "part_fields",
    "place_and_word",
    "signature_arguments",
]
