"""Where the numbers on screen come from."""

import streamlit as st

from app import cache
from app.plain import plain
from app.player import Player
from lab import traces
from lab.reading import changes, memory


def setup(player: Player) -> None:
    """One line on the model and its sizes."""
    header = player.trace.header
    learning = f"{header.fast_blocks} learn" if header.learns else "none learn text"
    kind = "Live" if player.reading else "Recorded"
    st.caption(
        f"{kind}: {plain(header.document)}, read by {plain(_reader(header))}: "
        f"{header.chunk} tokens "
        f"a chunk, {header.layers} blocks of which {learning}; {_memory(header)}."
        f"{_state(player)}"
    )


def _reader(header: traces.Header) -> str:
    """The model, and what was changed in its way of learning."""
    changed = changes.in_words(header.provenance)
    return f"{header.model} with {changed}" if changed else header.model


def _state(player: Player) -> str:
    """Bytes of a live reading's memory, beside those of full attention."""
    header = player.trace.header
    grows = header.attends and not (header.reach or header.carried_by)
    if not player.reading or not header.total or grows:
        return ""
    mine = memory.state_bytes(player.reading) / 1e6
    config, read = player.reading.config, player.trace.read
    full = memory.full_attention_bytes(config, read) / 1e6
    return (
        f" Its memory takes {mine:,.1f} MB at any length; full attention of that size "
        f"would hold {full:,.1f} MB by now."
    )


def _memory(header: traces.Header) -> str:
    """How far back the model can see the text without learning."""
    if header.carried_by:
        return (
            f"its attention sees {header.window:,} tokens, the states of "
            f"{plain(' and '.join(header.carried_by))} carry the earlier text"
        )
    if not header.attends:
        return "it has no attention"
    if header.reach:
        return f"its attention reaches {header.reach:,} tokens back"
    return "its attention reaches back to the start"


def audited(player: Player) -> None:
    """One line: whether the losses are known to have seen nothing before its time."""
    header = player.trace.header
    model = plain(header.model)
    if found := header.audited or cache.audited(header.model_hash):
        st.caption(f"{model} was {plain(found)}.")
    else:
        st.caption(
            f"Not audited yet: `ttt-lab audit` checks that {model} sees no future."
        )


def provenance(player: Player) -> None:
    """Command, commit and hashes."""
    header = player.trace.header
    with st.expander("Where these numbers come from"):
        known = header.provenance | {"model_hash": header.model_hash}
        st.table(
            {
                plain(name.replace("_", " ")): plain(_short(value))
                for name, value in known.items()
            }
        )


def _short(value) -> str:
    """The beginning of a hash, or a word for a missing value."""
    text = "none" if value in (None, "") else str(value)
    return f"{text[:16]}…" if len(text) == 64 and " " not in text else text
