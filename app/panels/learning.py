"""How a live reading learns: the inner rate, and the rule, chunk and window."""

import streamlit as st

from app import cache, session
from app.plain import plain
from app.session import RATES
from lab.reading import changes as lab_changes
from lab.reading.changes import RULES, Changes, choices
from lab.reading.notes import about


NOUNS = {
    "rule": "Inner rule",
    "chunk": "Tokens between two inner steps",
    "window": "Tokens that attention sees",
}


def changes() -> Changes:
    """What differs from the way in which the model was trained."""
    if session.get("inner_of") != session.get("model"):
        return Changes()
    asked = Changes(**{name: session.get(f"inner_{name}") for name in NOUNS})
    card = cache.cards().get(session.get("model"))
    return asked.beyond(card["config"]) if card else asked


def called() -> str:
    """The name of the model with its changes on the shelf."""
    return changes().called(session.get("model"))


def panel() -> None:
    """All that says how the model learns, each marked with what a change costs."""
    card = cache.cards().get(session.get("model"))
    changed, rate = changes(), session.get("rate")
    label = ", ".join(filter(None, [f"How it learns: rate {rate:g}×", changed.words]))
    with st.popover(label, icon=":material/speed:"):
        _rate()
        if card is not None and "chunk" in card["config"]:
            _compiled(card["config"])
            if changed:
                _said(changed, card)


def _rate() -> None:
    """How large inner steps are: data to the programs."""
    st.select_slider(
        "Inner rate: a factor on the trained one · **instant**",
        RATES,
        format_func=lambda rate: f"{rate:g}×",
        **session.bound("rate"),
    )


def _compiled(config) -> None:
    """What is compiled into the programs: rule, chunk, window."""
    now = {"rule": (config.get("inner") or {}).get("rule", "sgd"), **config}
    offered = {"rule": list(RULES)}
    offered |= {name: choices(config, name) for name in ("chunk", "window")}
    for name, noun in NOUNS.items():
        mine = changes().recorded.get(name, now[name])
        options = offered[name] + ([] if mine in offered[name] else [mine])
        key = f"widget-inner_{name}"
        st.session_state[key] = mine
        st.selectbox(
            f"{noun} · **{_cost()}**",
            options,
            format_func=lambda value, now=now[name]: _option(value, now),
            key=key,
            on_change=_keep,
            args=(name,),
        )


def _option(value, now) -> str:
    """A choice in words, with a mark at the one that the model was trained with."""
    words = f"{value}: {RULES[value]}" if value in RULES else f"{value:,}"
    return f"{words} (as trained)" if value == now else words


def _cost() -> str:
    """What a change of something compiled costs, from what it cost the last time."""
    made = cache.shelf().models
    last = [made.get(name) for name in (called(), session.get("model"))]
    found = [one.seconds_to_compile for one in last if one]
    known = [seconds for seconds in found if seconds is not None]
    return f"recompiles (about {about(known[0])})" if known else "recompiles"


def _said(changed: Changes, card) -> None:
    """Why the choices do not go together, or what they mean; and the way back."""
    try:
        lab_changes.check(changed, card, session.get("model"))
    except ValueError as problem:
        st.caption(f":material/error: {plain(problem)}")
    else:
        st.caption(
            "The model was not trained to learn so. Its weights stay; its programs are "
            "made anew when the reading starts."
        )
    st.button("As trained", key="as-trained", on_click=_as_trained)


def _keep(name: str) -> None:
    kept = changes().recorded | {name: st.session_state[f"widget-inner_{name}"]}
    session.put(**{f"inner_{one}": kept.get(one) for one in NOUNS})
    session.put(inner_of=session.get("model"))


def _as_trained() -> None:
    session.put(rate=1.0, inner_of=None)
