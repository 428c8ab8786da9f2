"""What did an audit find? A certificate: one small file, found by its model's hash.

`lab.evals.audit` makes the checks; `ttt-lab audit MODEL` writes the certificate. The
file is `NAME-HASH.json` (twelve digits of `checkpoints.model_hash`), in
`lab/published/certificates` for a published model and else in `.runs/certificates`
(`TTT_LAB_RUNS` moves it). The newest certificate of a model counts, so a failed audit
is not hidden by an older one that passed. Opens without JAX.
"""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from lab import files, results, runs


PUBLISHED = Path(__file__).parents[1] / "published" / "certificates"
PASSED, FAILED, NOT_APPLICABLE = "passed", "FAILED", "not applicable"


@dataclasses.dataclass(frozen=True)
class Check:
    """One thing that was tried, and what came of it.

    `tried`: what was done, in words. `worst`: the worst number, in `unit`; None where
    nothing was measured. `why`: the reason of a verdict other than `PASSED`.
    """

    name: str
    tried: str
    verdict: str
    worst: float | None = None
    unit: str = ""
    why: str = ""


@dataclasses.dataclass(frozen=True)
class Certificate:
    """All checks of one model, and what was audited: weights, source, text.

    `source`: hash of the code that decides numbers (`training.provenance.version`).
    `device`: where it ran, since other devices run other programs. `made`: date and
    time, UTC. `seconds`: how long the audit took, compiling included.
    """

    KIND: ClassVar[str] = "audit"

    model: str
    model_hash: str
    commit: str
    source: str
    device: str
    made: str
    text: str
    seed: int
    seconds: float
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that failed."""
        return tuple(one.name for one in self.checks if one.verdict == FAILED)

    @property
    def passed(self) -> int:
        """Number of checks that passed."""
        return sum(one.verdict == PASSED for one in self.checks)

    @property
    def line(self) -> str:
        """The certificate in one line, for traces, the explorer and the terminal."""
        date = self.made[:10]
        if self.failed:
            return f"audited {date}: FAILED in {', '.join(self.failed)}"
        many = f"{self.passed} check{'s' * (self.passed != 1)}"
        return f"audited {date}: nothing is seen before its time, {many}"


def now() -> str:
    """The time for `Certificate.made`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def keep(certificate: Certificate, *, publish: bool = False) -> Path:
    """Write a certificate with its command and versions, and return the path."""
    folder = PUBLISHED if publish else runs.folder("certificates")
    about = {"kind": Certificate.KIND, **results.to_json(certificate)}
    content = results.as_text(about | {"provenance": runs.environment()})
    name = f"{certificate.model}-{certificate.model_hash[:12]}.json"
    return files.write(folder / name, content)


def find(model_hash: str) -> Certificate | None:
    """The newest certificate of a model, None if there is none.

    A damaged file is no certificate.
    """
    found = []
    for folder in (PUBLISHED, runs.folder("certificates")):
        for path in folder.glob(f"*-{model_hash[:12]}.json"):
            try:
                found.append(results.open_result(path, Certificate))
            except (ValueError, OSError):
                continue
    found = [one for one in found if one.model_hash == model_hash]
    return max(found, key=lambda one: one.made, default=None)


def line(model_hash: str) -> str:
    """A model's newest certificate in one line; "" = not audited."""
    found = find(model_hash)
    return found.line if found else ""
