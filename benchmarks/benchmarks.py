"""This folder by its name, for scripts: ``python benchmarks/NAME.py``.

A script's own folder is all that Python adds to its path, and all that Ray adds to its workers'.
There this module stands for the package, so that a benchmark and the parts that it names
(`benchmarks.throughput:Generator`) have one name, however it was started.
"""

from pathlib import Path

__path__ = [str(Path(__file__).parent)]
