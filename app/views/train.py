"""Train one: a small model is meta-trained on this machine, beside its plain twin.

The training is a job outside the web process (`jobs.py`); this page reads its run
folder once a second as long as it lasts. Nothing is computed here.
"""

import math

import streamlit as st

from app import arrival, cache, jobs, session, training
from app.panels import frame
from app.plain import plain
from lab import plots
from lab.training import watching


INTRO = """
Meta-training is a loop around the loop: for each text the model learns while it reads,
and its *first* weights are moved so that this learning pays. Its :green[plain twin] has
the same first weights and the same texts, and never learns while it reads.
"""
TOKENS = (50_000, 100_000, 200_000, 400_000, 800_000, 2_000_000)
EVERY_S = 1.0  # seconds between two looks at the run folder
PENDING = "The first step is being compiled; curves begin in about half a minute."


def choices() -> None:
    """What is trained, with how many tokens, and the button."""
    row = st.columns([4, 2, 2, 2], gap="small", vertical_alignment="bottom")
    row[0].selectbox(
        "Recipe (size nano)",
        list(training.KINDS),
        format_func=lambda name: f"{name}: {training.KINDS[name].label}",
        **session.bound("train_recipe"),
    )
    row[1].selectbox(
        "Tokens",
        TOKENS,
        format_func=lambda tokens: f"{tokens:,}",
        help="One token is one byte of the State of the Union.",
        **session.bound("train_tokens"),
    )
    row[2].number_input(
        "Seed",
        0,
        training.LAST_SEED,
        help="Decides the first weights and the order of the texts.",
        **session.bound("train_seed"),
    )
    wanted = _wanted()
    word = "Train" if watching.curves(wanted.name) is None else "Show or go on"
    row[3].button(word, key="train", type="primary", width="stretch", on_click=_start)
    st.caption(_beforehand(wanted))


def _wanted() -> training.Training:
    values = (session.get(f"train_{name}") for name in ("recipe", "tokens", "seed"))
    return training.Training(*values)


def _beforehand(wanted: training.Training) -> str:
    """How long it will take, before it begins."""
    if wanted.is_finished:
        return "This training is done on this machine: it is shown at once."
    seconds = wanted.seconds
    time = f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    twin = ", learner and plain twin one after the other" if wanted.twin else ""
    return (
        f"About {time} on this machine{twin}. You can leave the page: the training "
        "goes on, and this page finds it again."
    )


def _start() -> None:
    wanted = _wanted()
    session.put(training=wanted.name, training_problem=None)
    _try(wanted.start)


def _try(action) -> None:
    try:
        action()
    except ValueError as problem:
        session.put(training_problem=str(problem))


def shown() -> training.Training | None:
    """The training on screen: the one chosen, or what this machine has last trained."""
    return training.named(session.get("training"))


def stage() -> None:
    """The training: where it stands, its curves, its outcome."""
    found = shown()
    if session.get("training_problem"):
        st.error(plain(session.get("training_problem")), icon=":material/error:")
    if found is None:
        st.info("Nothing has been trained here yet. *Train* begins with the first one.")
        return
    active = found.is_active
    _standing(found, active)
    if active:
        _bar(found)
    _curves(found)
    _outcome(found)
    if session.get("was_training") != active:
        session.put(was_training=active)
        cache.models.clear()  # there may be a new model
        st.rerun()  # the whole page, which sets the fragment's clock or stops it


def _standing(found: training.Training, active: bool) -> None:
    """Where the jobs stand, and what can be done with them."""
    words, stop, on, watch = st.columns([6, 1.3, 1.3, 1.6], vertical_alignment="center")
    words.markdown(plain(_says(found)))
    stop.button(
        "Stop",
        key="stop",
        disabled=not active,
        width="stretch",
        on_click=lambda: _try(found.stop),
        help="The step is finished and saved first. Pressed twice: at once.",
    )
    on.button(
        "Go on",
        key="resume",
        disabled=active or found.is_finished,
        width="stretch",
        on_click=lambda: _try(found.start),
        help="From the step that was saved, to the same numbers.",
    )
    if watch.button(
        "Watch it read",
        key="watch",
        disabled=watching.outcome(found.name) is None,
        width="stretch",
    ):
        session.put(model=found.name, source="live", reading=None, chunk=None)
        st.switch_page("views/watch.py")


def _bar(found: training.Training) -> None:
    """How far the job is that runs."""
    running = [job for job in found.jobs if job.state in jobs.ALIVE]
    progress = running[0].progress if running else None
    st.progress(progress.share if progress else 0.0)


def _says(found: training.Training) -> str:
    """Sentences on the jobs; for a training without a job, on its run folder."""
    known = found.jobs
    if found.is_finished and not found.is_active:
        return f"{found.name} is trained."
    if known:
        alive = [job for job in known if job.state in jobs.ALIVE]
        unfinished = [job for job in known if job.state != jobs.DONE][:1]
        return " ".join(map(jobs.sentence, alive or unfinished or known))
    return f"{found.name} is not finished; nobody trains it now."


def _curves(found: training.Training) -> None:
    run = watching.curves(found.name)
    twin = watching.curves(found.twin) if found.twin else None
    if run is None or not len(run.tokens):
        st.caption(PENDING)
        return
    st.markdown(_numbers(run, twin))
    loss, gain, drift = st.columns(3, gap="medium")
    with loss:
        frame.figure("outer", plots.outer_loss(run, twin))
        frame.look(
            "the **outer loss** is the mean loss of whole texts, read *while "
            "learning*: what meta-training lowers. The :green[**plain twin**] is the "
            "same model, trained without learning while it reads."
        )
    with gain:
        frame.figure("train-gain", plots.gain_over_training(run))
        frame.look(
            "the **gain** is the loss of the same weights with learning switched off, "
            "minus the loss with learning. At first any step helps; later the gain "
            "must be earned. Below zero, learning does harm."
        )
    with drift:
        frame.figure("train-drift", plots.drift_over_training(run))
        frame.look(
            "training sets how far one text may move the weights. Zero for a model "
            "that never learns."
        )


def _numbers(run: watching.Curves, twin: watching.Curves | None) -> str:
    """The newest numbers in one line."""
    line = f"**Step {len(run.tokens):,}** of {run.steps:,}: outer loss "
    line += f"**{run.smooth[-1]:.3f}** nats per token"
    if twin is not None and len(twin.tokens):
        at = min(len(run.tokens), len(twin.tokens)) - 1
        line += (
            f" (plain twin {twin.smooth[-1]:.3f} at its step {len(twin.tokens):,}; "
            f"difference at step {at + 1:,}: {twin.smooth[at] - run.smooth[at]:+.3f})"
        )
    gains = [g for g in run.held_out_gain if math.isfinite(g)]
    if gains:
        line += f", gain **{gains[-1]:+.4f}**"
    return f"{line}, {run.typical_speed:,.0f} tokens/s"


def _outcome(found: training.Training) -> None:
    """What came of it, on text that was held out."""
    done = watching.outcome(found.name)
    if done is None:
        return
    words = (
        f"On {done.passages} held-out passages of {done.tokens_each:,} tokens the "
        f"model costs **{done.learning:.4f}** nats per token while it learns and "
        f"{done.frozen:.4f} with learning switched off"
    )
    twin = watching.outcome(found.twin) if found.twin else None
    words += f"; its plain twin costs {twin.learning:.4f}." if twin else "."
    st.success(f"{words} One seed of a tiny model: no more than a demonstration.")


def earlier() -> None:
    """Trainings of this machine, by name; any can be shown again."""
    names = [name for name in watching.names() if training.named(name)]
    learners = [name for name in names if not name.endswith("-plain")]
    with st.expander(f"Earlier trainings on this machine ({len(learners)})"):
        for name in learners[:12]:
            words, button = st.columns([6, 1.3], vertical_alignment="center")
            words.markdown(_one_line(name))
            button.button(
                "Show",
                key=f"show-{name}",
                width="stretch",
                on_click=_show,
                args=(name,),
            )
        others = [n for n in watching.names() if n not in names][:8]
        if others:
            st.caption(f"Trained by command: {plain(', '.join(others))}.")


def _show(name: str) -> None:
    session.put(training_problem=None)
    _adopt(training.named(name))


def _adopt(found: training.Training) -> None:
    """Show a training, and let the controls say what it is."""
    session.put(training=found.name)
    if found.tokens in TOKENS:
        session.put(train_recipe=found.recipe, train_tokens=found.tokens)
        session.put(train_seed=found.seed)


def _one_line(name: str) -> str:
    run, done = watching.curves(name), watching.outcome(name)
    steps = f"{len(run.tokens):,} of {run.steps:,} steps" if run else "no step"
    held = f", held out {done.learning:.4f} ({done.frozen:.4f} frozen)" if done else ""
    return f"{plain(name)}: {steps}{held}"


def details() -> None:
    """The commands, and what they print."""
    found = shown()
    if found is None or not found.jobs:
        return
    with st.expander("The commands, and what they print"):
        for job in found.jobs:
            st.code(job.command, language="bash", wrap_lines=True)
            st.code("\n".join(job.output().splitlines()[-12:]) or " ", language=None)


if session.begin():
    arrival.arrive()
if session.get("training") is None and (last := training.newest()):
    _adopt(last)
st.title("Train one", anchor=False)
st.markdown(INTRO)
choices()
found = shown()
active = found is not None and found.is_active
st.fragment(stage, run_every=EVERY_S if active else None)()
earlier()
details()
