"""The old address of :class:`gan_tune.Dataset`, for users' data sets written before 0.2."""

from gan_tune.data.dataset import Dataset

__all__ = ["Dataset"]
