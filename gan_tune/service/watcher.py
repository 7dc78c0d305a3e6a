"""The address of :class:`gan_tune.watching.Watcher` for users' own watchers."""

from gan_tune.watching.watcher import Watcher

__all__ = ["Watcher"]
