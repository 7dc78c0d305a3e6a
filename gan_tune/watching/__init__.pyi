from .board_watcher import BoardWatcher
from .live_view import LiveView
from .notebook_view import NotebookView, in_kernel, shown_in_notebooks
from .plain_lines import PlainLines
from .search_watcher import search_watcher
from .watcher import Watcher

__all__ = [
    "BoardWatcher",
    "LiveView",
    "NotebookView",
    "PlainLines",
    "Watcher",
    "in_kernel",
    "search_watcher",
    "shown_in_notebooks",
]
