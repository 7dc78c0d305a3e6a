from .board_watcher import BoardWatcher
from .live_view import LiveView
from .plain_lines import PlainLines
from .search_watcher import search_watcher

__all__ = ["BoardWatcher", "LiveView", "PlainLines", "search_watcher"]
