"""`ttt-lab eval tune-inner`: the best inner rate and clip of a model."""

from rich.table import Table

from lab.commands.options import (
    Model,
    Output,
    Reading,
    finish,
    read,
    systems_and_text,
)
from lab.commands.tables import signed
from lab.commands.terminal import Terminal
from lab.measure.texts import Text


def tune_inner(
    model: Model,
    /,
    rates: tuple[str, ...] = ("0.03", "0.1", "0.3", "1", "3"),
    clips: tuple[str, ...] = ("1",),
    text: Text = Text(split="train", per_novel=1, novels=8),
    reading: Reading = Reading(),
    output: Output = Output(),
):
    """The best inner rate and clip of a model, on text that is not reported on.

    Args:
        model: a published name or a path; its inner rate may be 0.
        rates: inner rates, as 0.03 0.1 or 0.03,0.1.
        clips: largest norms of the inner gradient; inf for none.
    """
    from lab.evals import tune_inner as numbers

    one = text.only()
    numbers.check_text(one.corpus[0], one.split)
    grid = _numbers("rates", rates), _numbers("clips", clips)
    readers = numbers.readers(model, *grid)
    (system,), opened = systems_and_text((model,), text, reading)
    passages = opened.passages()
    readings = read(readers, passages, reading, strict=False)
    about = opened.about(passages)
    result = numbers.tune(readings, readers, about, system.name, system.sha256)
    finish(result, system.name, output, show)


def show(result):
    """Every rate and clip, with the best one marked."""
    table = Table("inner rate", "clip", "nats per token", "gain over frozen, ± 95 %")
    table.title = f"{result.model} learning while it reads {result.text}"
    table.add_row("frozen", "", f"{result.frozen:.4f}", "")
    for trial in result.trials:
        loss = "not finite" if trial.loss != trial.loss else f"{trial.loss:.4f}"
        cells = (f"{trial.lr:g}", f"{trial.clip:g}", loss, signed(trial.gain))
        table.add_row(*cells, style="bold" if trial == result.best else None)
    console = Terminal()
    console.print(table)
    if result.best is None:
        console.print("No rate tried is better than not learning; try smaller ones.")
        return
    console.print(f"Best: inner rate {result.best.lr:g}, clip {result.best.clip:g}.")
    words = {"lr": "--rates", "clip": "--clips"}
    for name in result.edges:
        console.print(f"The best {name} is at the edge of {words[name]}: widen them.")


def _numbers(name: str, words: tuple[str, ...]) -> tuple[float, ...]:
    parts = [part for word in words for part in word.split(",") if part]
    try:
        return tuple(float(part) for part in parts)
    except ValueError:
        raise ValueError(
            f"--{name} must be numbers, as 0.03 0.1 or 0.03,0.1: got {' '.join(words)}."
        ) from None
