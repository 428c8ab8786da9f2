"""How a recorded reading is made again: as a command, and as lines of Python."""

import re
import shlex

from lab.data import documents
from lab.reading import changes
from lab.traces import Trace


OWN_TEXT = "my.txt"  # stands for a text that only its reader has


def command(trace: Trace) -> str:
    """The `ttt-lab stream` that makes the reading again."""
    header, needle = trace.header, trace.header.needle
    recorded = str(header.provenance.get("command", ""))
    if recorded.startswith("ttt-lab stream"):
        return recorded
    words = ["ttt-lab", "stream", _document(trace), "--model", header.model]
    if needle:
        parts = (needle.sentence, needle.question, needle.answer.strip())
        words += ["--needle", "|".join(parts), "--at", f"{_depth(trace):.6g}"]
    words += changes.options(header.provenance)
    return shlex.join([*words, "--tokens", str(_tokens(trace))])


def python(trace: Trace) -> str:
    """Lines of Python that make the reading again, and keep it as a file."""
    needle, more = trace.header.needle, f"tokens={_tokens(trace)}"
    imports = "from lab import traces\nfrom lab.data import documents"
    planted = ""
    if needle:
        parts = (needle.sentence, needle.question, needle.answer)
        planted = f"needle = needles.Needle{parts!r}\n"
        more += f", needle=needle, at={_byte(trace)}"
        imports += ", needles"
    if (rate := changes.rate(trace.header.provenance)) != 1:
        more += f", rate={rate!r}"
    name, (extra, model) = _document(trace), _model(trace)
    return (
        f"{imports}\n{extra}from lab.reading.session import Reading\n\n"
        f"text = documents.load({name!r}).text\n{planted}"
        f"reading = Reading({model}, text, document={name!r}, {more})\n"
        "while not reading.done:\n    reading.step()\n"
        'traces.save("reading.npz", reading.trace)\n'
    )


def _model(trace: Trace) -> tuple[str, str]:
    """Imports, and the model with what was changed in it, as Python."""
    changed, model = changes.of(trace.header.provenance), repr(trace.header.model)
    if not changed:
        return "", model
    known = ", ".join(f"{k}={v!r}" for k, v in changed.recorded.items())
    imports = (
        "from lab.reading.changes import Changes\n"
        "from lab.reading.programs import Programs\n"
    )
    return imports, f"Programs({model}, changes=Changes({known}))"


def _document(trace: Trace) -> str:
    named = trace.header.document
    return named if named in documents.names() else OWN_TEXT


def _tokens(trace: Trace) -> int:
    """The number of tokens of the text without its needle."""
    needle = trace.header.needle
    return trace.header.total - (needle.stop - needle.start if needle else 0)


def _byte(trace: Trace) -> int:
    """Where in the text without the needle it was planted, to a space."""
    needle = trace.header.needle
    text, sentence = trace.text, needle.sentence.encode()
    wanted = len(text) * needle.start / max(1, trace.header.total)
    places = [found.start() for found in re.finditer(re.escape(sentence), text)]
    at = min(places, key=lambda place: abs(place - wanted), default=round(wanted))
    return at - text[:at].endswith(b" ")


def _depth(trace: Trace) -> float:
    planted = len(trace.header.needle.sentence.encode())
    return min(1.0, _byte(trace) / max(1, len(trace.text) - planted))
