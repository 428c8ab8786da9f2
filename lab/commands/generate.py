"""`ttt-lab generate`: a text continued by a model that learns while it writes.

ttt-lab generate sotu/1981-Carter-1 --prompt "And so" --tokens 300
"""

from typing import Annotated

from tyro.conf import Positional

from lab.commands import twins
from lab.commands.options import option
from lab.reading.writing import check_stops


SEEDS = 2**32
AHEAD = 4_096  # tokens for which full attention makes room at once


def generate(
    document: Positional[Annotated[str | None, option("DOCUMENT")]] = None,
    /,
    prompt: str = "",
    model: str = "tiny-e2e",
    tokens: int = 200,
    read: Annotated[int | None, option("TOKENS")] = None,
    temperature: float = 0.8,
    top_p: float = 0.95,
    top_k: int = 0,
    repetition_penalty: float = 1.0,
    stop: Annotated[tuple[str, ...], option("TEXT [TEXT ...]")] = (),
    seed: int = 0,
    frozen: bool = False,
    memory: Annotated[str | None, option("MEMORY")] = None,
    alpha: float = 1.0,
):
    """Continue a prompt or a document: learning and frozen twin side by side.

    Both read the document and the prompt, then write with the same random numbers. The
    learner takes an inner step after each chunk, also of what it writes itself.

    Args:
        document: a name that `ttt-lab data list` shows, a text file, or a trace (.npz)
            whose text is read (default: none, only the prompt).
        prompt: the text to continue; behind a document, a new paragraph.
        model: a published model's name, or a path.
        tokens: tokens that each writes at most.
        read: read at most this many tokens of the document (default: all).
        temperature: 0 = always the likeliest token; 1 = as the model has it.
        top_p: draw from the likeliest tokens that together have this probability.
        top_k: draw from this many likeliest tokens, 0 = all.
        repetition_penalty: above 1, tokens that were in the prompt or written become
            less likely.
        stop: end before any of these texts; \\n is a line end.
        seed: another seed, another text.
        frozen: learn nothing while writing (the learner keeps what it learned while
            reading).
        memory: what the learner has read before, as `ttt-lab memory save` keeps it: a
            file, or a name that `ttt-lab memory list` shows.
        alpha: how much of the memory, from 0 to 2.

    **Raises** `ValueError` if there is nothing to continue, or for a number that means
    nothing.
    """
    text = twins.open_text(document)[0] if document else ""
    if not (text.strip() or prompt.strip() or memory):
        raise ValueError(
            'There is nothing to continue: give a document, or --prompt "And so".'
        )
    dials = _checked(tokens, seed, temperature, top_p, top_k, repetition_penalty)
    stops = tuple(one.replace("\\n", "\n").replace("\\t", "\t") for one in stop)
    check_stops(stops)
    pair = twins.opened(model, memory, alpha)
    lead = f"\n\n{prompt}" if document and prompt else prompt
    ids = pair.tokenizer.encode(lead)
    twins.read_first(pair, text, most=read, later=len(ids) + min(tokens, AHEAD))
    knobs = {"stops": stops, "seed": seed, "learns": not frozen, **dials}
    twins.show({k: pair.write(k, ids, tokens, **knobs) for k in pair.sides})


def _checked(tokens, seed, temperature, top_p, top_k, repetition_penalty) -> dict:
    """The dials of `ttt_core.decode`, once all numbers are known to be usable."""
    if tokens < 1:
        raise ValueError(f"--tokens must be at least 1: got {tokens}.")
    if not 0 <= seed < SEEDS:
        raise ValueError(f"--seed must be from 0 to {SEEDS - 1:,}: got {seed}.")
    from ttt_core.decode import Dials, check_dials

    dials = Dials(temperature, top_p, top_k, repetition_penalty)
    check_dials(dials)
    return dials._asdict()
