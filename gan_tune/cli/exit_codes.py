"""The program's exit codes."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """An exit code of the program, with what it says."""

    meaning: str

    def __new__(cls, code: int, meaning: str) -> ExitCode:
        made = int.__new__(cls, code)
        made._value_ = code
        made.meaning = meaning
        return made

    DONE = 0, "All is well. Warnings are on stderr."
    LATER = (
        1,
        "The same command may succeed later, or did without what the next one needs: a search has "
        "no champion or withheld it, `sync` has something left to deliver, `doctor` has found "
        "something to mend, a study stays locked, MLflow, Ray, a bucket's store or a study's "
        "database takes no connection or is silent, the reader of a pipe has gone. Also an error "
        "in gan-tune itself, with its traceback. "
        "`submit` and `logs` end as the search does.",
    )
    REFUSED = 2, "An expected error: a line on stderr for each thing that must change first."
    INTERRUPTED = 130, "Ctrl-C or SIGTERM. The same command goes on with a search."
