"""The names of all tags that gan-tune sets in MLflow: on runs, registered models and versions."""

from __future__ import annotations

from typing import Final

__all__ = ["Tag"]


class Tag:
    """Tag names. A tag is set on runs if nothing else is stated; `parent` is the search's run."""

    PREFIX: Final = "gan_tune."

    # Every run; on a registered model KIND is `generator`.
    KIND: Final = "gan_tune.kind"  # parent, search (proposed by the sampler), confirmation
    SEARCH: Final = "gan_tune.search"  # name of the search; on a model version, too
    CODE_VERSION: Final = "gan_tune.code_version"
    OUTCOME: Final = "gan_tune.outcome"  # a key of `words.outcomes.OUTCOMES`; absent while running

    # The parent run.
    OWNER: Final = "gan_tune.owner"  # which search of this name it is; see SearchEntry
    OBJECTIVE: Final = "gan_tune.objective"  # the metric; on a model version, too
    MODE: Final = "gan_tune.mode"  # min or max; on a model version, too
    OBJECTIVES: Final = "gan_tune.objectives"  # all of them, `METRIC (MODE), ...`
    METRIC_VERSION: Final = "gan_tune.metric_version"
    WARM_START: Final = "gan_tune.warm_start"  # the searches from which this one started
    FINISHED: Final = "gan_tune.finished"  # true or false

    # The search's run, and the run of a trial.
    DESCRIBED: Final = "gan_tune.described"  # digest of the description that gan-tune wrote

    # The run of a trial.
    TRIAL: Final = "gan_tune.trial"  # its name; on a model version, too
    SETTING: Final = "gan_tune.setting"  # number of the setting
    ORIGIN: Final = "gan_tune.origin"  # of the setting: start 1, experience 3, sampled, ...
    REPLICATE: Final = "gan_tune.replicate"  # 0 is the first seed
    REPORTS: Final = "gan_tune.reports"  # how many the run holds; set when it ends
    SYMPTOMS: Final = "gan_tune.symptoms"
    ERROR: Final = "gan_tune.error"  # first line of the exception
    LINEAGE: Final = "gan_tune.lineage"  # trials from whose weights it continues
    PARENT: Final = "gan_tune.parent"  # the last of these trials
    PARENT_STEP: Final = "gan_tune.parent_step"

    # A registered model, and the logged model from which a version was made.
    CHAMPIONS: Final = "gan_tune.champions"  # see :mod:`gan_tune.registry.champions`
    REMOVED: Final = "gan_tune.removed"  # the model from which a person removed it

    # A version of a registered model.
    VALUE: Final = "gan_tune.value"  # the objective on the selection split
    COMPARABLE: Final = "gan_tune.comparable"  # values of equal texts may be compared
    CONFIRMED_SEEDS: Final = "gan_tune.confirmed_seeds"  # 0: unconfirmed
    LATENT: Final = "gan_tune.latent"  # dimension of the noise
    WEIGHTS: Final = "gan_tune.weights"  # digest of the weights
    SUCCESSION: Final = "gan_tune.succession"  # see :mod:`gan_tune.registry.succession`
    KIND_OF_DATA: Final = "gan_tune.kind_of_data"  # pictures or points
