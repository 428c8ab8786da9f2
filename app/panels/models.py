"""The models: what each is and how fast it reads here, and those that read along."""

import streamlit as st

from app import cache, player, session
from app.panels import learning
from app.plain import one_line, plain
from app.session import BESIDE
from lab.reading import notes
from lab.reading.programs import Programs
from lab.reading.session import Reading


def choose() -> None:
    """The box that chooses the model."""
    st.selectbox(
        "Model",
        cache.models(),
        # A name from the address may be unknown: the start reports the problem.
        format_func=label,
        key=session.bound("model")["key"],
        on_change=_change,
    )


def label(name: str) -> str:
    """A model's name with its remark, size and speed."""
    remark, card = cache.models().get(name, ""), cache.cards().get(name)
    said = [remark] if remark else []
    if card:
        # A name such as swa tells a newcomer nothing of a model that is compared.
        said = [notes.mixes(card), *said] if remark else said
        said += filter(None, [notes.size(card), _speed(name)])
    return one_line(f"{name} ({', '.join(said)})" if said else name)


def described() -> None:
    """What the model is, what it can show, and how long the reading will take."""
    card = cache.cards().get(session.get("model"))
    if card is None:
        return
    found = notes.note(card)
    chunk = card["config"].get("chunk") or 1
    chunks, cap = player.per_picture(chunk), session.get("cap")
    took = notes.seconds(card, cap, chunks, _tokens_per_second(session.get("model")))
    speed = session.get("speed")
    st.caption(
        f"{plain(found.what)}. {plain(found.shows)} {cap:,} tokens take "
        f"about {notes.about(took)} here at {speed}×"
        f"{'' if took is None or took < 120 else '; a larger speed is faster'}."
    )


def along() -> list[str]:
    """Names of the models that will read the same text: those asked for, or called for.

    A model that never learns says little alone, so one that learns reads along.
    """
    models, chosen = cache.models(), session.get("model")
    if (asked := session.get("beside")) is not None:
        return [name for name in asked if name in _others()][:BESIDE]
    if not models.get(chosen):
        return []
    learners = [name for name, remark in models.items() if not remark]
    usual = session.DEFAULTS["model"]
    return [usual if usual in learners else learners[0]] if learners else []


def choose_along() -> None:
    """The box that chooses models to read along."""
    st.session_state["widget-beside"] = along()
    st.multiselect(
        "Beside it, on the same text",
        _others(),
        format_func=label,
        max_selections=BESIDE,
        placeholder="No other model",
        key="widget-beside",
        on_change=_keep_along,
    )


def begin() -> None:
    """Have the programs of the models made that will read along."""
    chosen = session.get("model")
    named = {f"{name} as trained" if name == chosen else name: name for name in along()}
    session.put(companions={said: cache.programs(name) for said, name in named.items()})


def bring_along() -> None:
    """Let each model that reads along begin once it is open."""
    first, companions = session.get("reading"), session.get("companions")
    if session.get("source") != "live" or first is None:
        return
    for name, one in list(companions.items()):
        if not isinstance(one, Programs):
            continue
        cache.shelf().order(one.called, now=True)
        try:
            if one.ready("model") or one.error:
                companions[name] = _follower(one, first)
        except (ValueError, OSError) as problem:
            del companions[name]
            session.put(problem=f"{name} does not read along: {problem}")


def _follower(programs: Programs, first: Reading) -> Reading:
    text = first.plan.text.decode("utf-8", "replace")
    reading = Reading(programs, text, document=first.document, command="explorer")
    cache.shelf().readings.add(reading)
    return reading


def _others() -> list[str]:
    """Models that may read along: a changed model's own self is another one."""
    mine = None if learning.changes() else session.get("model")
    return [name for name in cache.models() if name != mine]


def _tokens_per_second(name: str) -> float | None:
    made = cache.shelf().models.get(name)
    measured = made.seconds_per_chunk if made else None
    return notes.tokens_per_second(cache.cards()[name], measured)


def _speed(name: str) -> str:
    speed = _tokens_per_second(name)
    return f"about {float(f'{speed:.2g}'):,.0f} tokens/s" if speed else ""


def _change() -> None:
    session.put(model=st.session_state["widget-model"], beside=None)


def _keep_along() -> None:
    session.put(beside=list(st.session_state["widget-beside"]))
