"""All looks at one model after one document: what each found, in which time and file.

`ttt-lab inspect all` writes this after every look. A command that was stopped finds the
looks that are done here, and takes the others.
"""

import dataclasses
from typing import ClassVar

from lab.analysis.walk import Subject


@dataclasses.dataclass(frozen=True)
class Seen:
    """One look that was taken.

    `headline`: what was found, in a sentence. `seconds`: how long the look took.
    `file`: name of the file with its numbers. `sha256`: of that file. `commit`: of the
    source that took it.
    """

    headline: str
    seconds: float
    file: str
    sha256: str
    commit: str


@dataclasses.dataclass(frozen=True)
class Overview:
    """Looks by name, in the order in which they were taken."""

    KIND: ClassVar[str] = "all"
    subject: Subject
    looks: dict[str, Seen]

    @property
    def seconds(self) -> float:
        """How long all of them took."""
        return sum(look.seconds for look in self.looks.values())
