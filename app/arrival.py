"""What a visit begins with: what its address asks for, nothing else in that name."""

from collections.abc import Mapping

import streamlit as st

from app import address, cache, session
from lab import names
from lab.data import needles
from lab.traces import Header


LIVE = {"beside", "rate", "inner_rule", "inner_chunk", "inner_window"}


def arrive() -> None:
    """On the first visit, show the recording or set up the live reading of the address.

    An address that asks for nothing, or for nothing that exists, gets a recording with
    a needle, if there is one. Where a document or a model is asked for, no recording of
    another one is shown instead.
    """
    values, problems = address.read(st.query_params)
    asked = values.keys() & {"document", "model", "needle"}
    headers = cache.recordings()
    documents = cache.document_names() + [h.document for h in headers.values()]
    models = [*cache.models(), *(h.model for h in headers.values())]
    for name, known in (("document", documents), ("model", models)):
        if name in asked and values[name] not in known:
            problems.append(_unknown(name, values.pop(name), known))
            asked.remove(name)
    if "beside" in values:
        values["beside"] = _known_beside(values["beside"], problems)
    session.put(**values)
    # A recording holds one model that learned as it was trained to.
    live = values.keys() & LIVE
    if not live and (name := _fitting(headers, asked)):
        show(name)
    else:
        session.put(source="live" if asked or live else "recorded")
    _settle_model(problems)
    if any(name.startswith("inner_") for name in values):
        session.put(inner_of=session.get("model"))
    elif session.get("model") in values.get("beside", ()):
        problems.append(_itself(session.get("model")))
    session.put(problem=" ".join(problems) or None)


def _known_beside(names: list[str], problems: list[str]) -> list[str]:
    """Those models that are here, and a sentence on each that is not."""
    models = list(cache.models())
    for name in names:
        if name not in models:
            problems.append(_unknown("model", name, models))
    return [name for name in names if name in models]


def show(name: str) -> None:
    """Show a recording, and set up live reading with the same settings."""
    header = cache.recordings()[name]
    settings = described(header)
    if header.model not in cache.models():
        del settings["model"]
    session.put(recording=name, **settings)


def own_text(beside: list[str] | None = None) -> None:
    """Set up a live reading of a text that is pasted, or was uploaded before.

    `beside` names the models that read along; None = those that the model calls for.
    """
    if session.get("document") not in (session.PASTE, session.UPLOAD):
        session.put(document=session.PASTE, needle="none", sentence="")
    session.put(source="live", form=True, playing=False, problem=None, beside=beside)


def described(header: Header) -> dict:
    """The lasting values that would make the reading of `header` again."""
    settings = {"document": header.document, "model": header.model, "needle": "none"}
    if header.needle is None:
        return settings
    depth = round(20 * header.needle.start / max(1, header.total)) / 20
    settings |= {"needle": "sentence", "sentence": header.needle.sentence}
    seed = header.provenance.get("seed")
    if seed is not None and needles.passkey(seed).sentence == header.needle.sentence:
        settings |= {"needle": "passkey", "seed": seed, "sentence": ""}
    return settings | {"depth": depth}


def sentence() -> str:
    """The sentence that the session's settings would plant; empty without a needle."""
    if session.get("needle") == "passkey":
        return needles.passkey(session.get("seed")).sentence
    return session.get("sentence") if session.get("needle") == "sentence" else ""


def _fitting(headers: Mapping[str, Header], asked: set[str]) -> str | None:
    """The recording of what was asked for, rather with a needle if any will do."""
    wanted = {name: session.get(name) for name in ("document", "model")}
    wanted["needle"] = sentence()
    found = {}
    for name, header in headers.items():
        has = {"document": header.document, "model": header.model}
        has["needle"] = header.needle.sentence if header.needle else ""
        if all(has[part] == wanted[part] for part in asked):
            found[name] = has["needle"]
    exact = [n for n, planted in found.items() if asked and planted == wanted["needle"]]
    showy = [n for n, planted in found.items() if planted]
    return next(iter([*sorted(exact), *sorted(showy), *found]), None)


def _unknown(kind: str, name: str, known: list[str]) -> str:
    near = names.closest(name, known)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    return f"There is no {kind} {address.short(name)!r} here{meant}"


def _itself(model: str) -> str:
    """Why a model does not read along: changed, it would be another one."""
    return (
        f"{model!r} reads already, so it does not read beside itself in the same way; "
        "with another rule, chunk or window it would."
    )


def _settle_model(problems: list[str]) -> None:
    """Let live reading begin with a model that is here, one that learns if possible."""
    models, wanted = cache.models(), session.get("model")
    if not models or wanted in models:
        return
    learners = [name for name, remark in models.items() if not remark]
    session.put(model=(learners or [*models])[0])
    if session.get("source") == "live" and wanted != session.DEFAULTS["model"]:
        problems.append(
            f"The model {wanted!r} is not here; {session.get('model')!r} takes its "
            "place."
        )
