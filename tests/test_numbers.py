"""One question has one number: the tables of the READMEs are those of the results."""

import re
from pathlib import Path

import pytest

from lab import results
from lab.bench.reading import ReadingBench
from lab.cli import GROUPS, VERBS
from lab.commands.tables import signed
from lab.evals.ablation import ABLATIONS
from lab.evals.compare import Comparison
from lab.evals.context import Contexts
from lab.evals.decompose import Decomposition
from lab.evals.needles import Needles
from lab.evals.recall import Recall
from lab.evals.toy import Toy


ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PUBLISHED = (ROOT / "lab/published/README.md").read_text("utf-8")
NOVELS = "compare-tiny-e2e-eltec-eng-val-16384"
ADDRESSES = "compare-tiny-e2e-sotu-chronicle-16384"
WHOLE = "compare-tiny-e2e-eltec-eng-val-whole"


def table(text, before):
    """The cells of the first table after some words, without marks of emphasis."""
    lines = text[text.index(before) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            return rows
        cells = re.sub(r"[*`]", "", line).strip("|").split("|")
        rows.append([cell.strip() for cell in cells])
    return rows


def gap(comparison, than):
    """What tiny-e2e is better by, as a table says it; "" where it was not compared."""
    name = "tiny-e2e, frozen" if "frozen twin" in than else than
    found = [g for g in comparison.gaps if (g.better, g.than) == ("tiny-e2e", name)]
    return signed(found[0].overall) if found else ""


@pytest.fixture(scope="module")
def compared():
    names = (NOVELS, ADDRESSES, WHOLE)
    return [results.open_result(name, Comparison) for name in names]


def test_the_first_table_says_what_was_measured(compared):
    first, *rows = table(README, "![The explorer")
    assert len(rows) == 4
    losses = [f"{one.losses['tiny-e2e'].overall.mean:.3f}" for one in compared[:2]]
    assert first[1:] == losses
    for label, *cells in rows:
        than = re.search(r"better than (its frozen twin|tiny-\w+)", label)[1]
        expected = [gap(one, than) for one in compared[:2]]
        assert cells == expected


def test_systems_are_compared_as_the_results_say(compared):
    rows = table(PUBLISHED, "<!-- compare -->")
    assert [row[0] for row in rows] == [
        "its frozen twin",
        "tiny-swa",
        "tiny-naive",
        "tiny-full",
    ]
    for than, *cells in rows:
        found = [gap(one, than) for one in compared]
        assert all(cell in ("", one) for cell, one in zip(cells, found, strict=True))
        assert cells[0], "novels are always said"
    slope = compared[2].gaps[0].slopes[0]
    assert (slope.stop, compared[2].gaps[0].than) == (131_072, "tiny-swa")
    assert f"({signed(slope.change)} a doubling)" in PUBLISHED


def test_the_pretrained_model_gains_what_was_measured():
    names = ("eltec-eng-val-8192", "sotu-val-4096", "unseen-all-4096")
    found = [
        results.open_result(f"compare-smollm2-e2e-{name}", Comparison) for name in names
    ]
    labels = ("smollm2", "smollm2-naive, frozen", "smollm2-naive", "smollm2-swa")
    rows, plain = table(PUBLISHED, "<!-- pretrained -->"), lambda cell: cell.strip("*")
    for label, (_, *cells) in zip((*labels, "smollm2-e2e"), rows[:5], strict=True):
        losses = [f"{one.losses[label].overall.mean:.3f}" for one in found]
        assert [plain(cell) for cell in cells] == losses
    others = ("smollm2-e2e, frozen", "smollm2-swa", "smollm2-naive", "smollm2")
    for than, (_, *cells) in zip(others, rows[5:], strict=True):
        for one, cell in zip(found, cells, strict=True):
            gaps = {(g.better, g.than): g.overall for g in one.gaps}
            assert cell == signed(gaps["smollm2-e2e", than])
    told = " ".join(PUBLISHED.split()).replace("*", "")
    shares = [(row.learner, row.share) for one in found for row in one.shares]
    untrained, learner, other = (shares[i] for i in (2, 8, 10))
    assert [one[0] for one in (untrained, learner, other)] == [
        "smollm2-naive",
        "smollm2-e2e",
        "smollm2-naive",
    ]
    for _, share in (untrained, learner, other):
        assert f"{share.mean:.0%} ±{share.half:.0%}".replace("%", " %") in told


def test_contexts_are_worth_what_the_result_says():
    found = results.open_result("context-tiny-e2e-eltec-eng-val", Contexts)
    scores = found.by_label()
    assert f"{sum(found.lengths):,} tokens of four novels" in PUBLISHED
    rows = table(PUBLISHED, "<!-- context -->")
    assert len(rows) == 8
    for label, *cells in rows:
        mine = scores[label.split()[0]]
        losses = [
            f"{mine[at].loss.mean:.3f}" if at in mine else "not read"
            for at in (2048, 16_384, 131_072)
        ]
        worse = mine[16_384].gap
        assert cells == [*losses, signed(worse) if worse else ""]


def test_the_start_and_its_share_are_as_measured():
    name = "decompose-tiny-e2e-tiny-swa-eltec-eng-val-16384"
    found = results.open_result(name, Decomposition)
    assert round(1 - found.share, 1) == 0.9, "nine tenths"
    assert f"{signed(found.starts)} at {found.places} places" in PUBLISHED


def test_facts_are_remembered_as_measured():
    found = results.open_result("recall-tiny-e2e-tiny-e2e-recall-trained", Recall)
    at = {name: one.distances.index(16_384) for name, one in found.systems.items()}
    right = {name: one.learning.whole[at[name]] for name, one in found.systems.items()}
    assert right["tiny-e2e"].mean == 0 and right["tiny-e2e"].novels == 24
    assert f"{right['tiny-e2e-recall'].mean:.0%}".replace("%", " %") == "79 %"
    assert "says none of 24 right" in PUBLISHED and "says 79 % right" in PUBLISHED


def test_settings_matter_as_measured():
    """A row of the table is a setting of an ablation, in the results' words."""
    names = {"window": "1600000", "chunk": "600000", "fast blocks": "600000"}
    rows, found = table(PUBLISHED, "<!-- ablation -->"), {}
    for what, tokens in names.items():
        kind = ABLATIONS["layers" if what == "fast blocks" else what]
        one = results.open_result(f"{kind.KIND}-nano-{tokens}", kind)
        for row in one.rows:
            found[f"{what} {row.value}"] = [
                f"{row.learning.overall.mean:.3f}",
                signed(row.over_plain.overall),
                signed(row.gain.overall),
                "" if row.value == one.usual else signed(row.over_usual.overall),
            ]
    assert {label: cells for label, *cells in rows} == found


def test_costs_are_as_measured():
    rows = {
        row.system: row for row in results.open_result("bench-read", ReadingBench).rows
    }
    ours, full = rows["tiny-e2e"], rows["tiny-full"]
    assert round(full.prompt_ms[-1] / ours.prompt_ms[-1]) == 16
    assert ours.late_over_early < 1.1 and round(ours.state_bytes[-1] / 1e6) == 2


def test_the_pretrained_model_costs_what_was_measured():
    found = results.open_result("bench-read-smollm2-e2e", ReadingBench)
    ours, full = found.rows
    times = f"{ours.reading_ms[-1]:.1f} ms to read", f"{full.reading_ms[-1]:.1f} ms;"
    ratio = f"{full.prompt_ms[-1] / ours.prompt_ms[-1]:.1f} times as dear"
    sizes = [f"{row.state_bytes[-1] / 1e6:,.0f} MB" for row in (full, ours)]
    assert ours.late_over_early < 1.1 and ours.positions[-1] == 32_768
    told = " ".join(PUBLISHED.split())
    assert all(words in told for words in (*times, ratio, *sizes))


def test_the_pretrained_model_finds_what_was_measured():
    found = results.open_result("needles-smollm2-e2e-smollm2", Needles)
    told = " ".join(PUBLISHED.split())
    for label, exact in (
        ("smollm2", 1),
        ("smollm2-e2e", 0),
        ("smollm2-e2e, frozen", 0),
    ):
        rows = [row for row in found.cells if row.label == label]
        assert len(rows) == 4 and all(row.exact.mean == exact for row in rows)
        nats = [row.nats.mean for row in rows]
        assert f"{min(nats):+.2f} to {max(nats):+.2f}" in told


def test_the_toy_gains_what_was_measured():
    found = results.open_result("toy-toy", Toy).curves
    shares = [round(100 * found[kind].share_of_full) for kind in ("b1", "b16", "naive")]
    assert shares == [71, 90, 39]
    for share in shares:
        assert f"{share} %" in PUBLISHED


PAGES = [
    *ROOT.glob("*.md"),
    *(ROOT / "lab").rglob("*.md"),
    *(ROOT / "notebooks").glob("*.ipynb"),
    *(ROOT / "datasets").rglob("*.md"),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_named_exists(page):
    groups = "|".join(group for group in GROUPS if group)
    named = re.findall(
        rf"ttt-lab ((?:{groups}) [a-z][a-z-]+|[a-z][a-z-]+)", page.read_text("utf-8")
    )
    unknown = {verb for verb in named if verb not in VERBS and verb not in GROUPS}
    assert not unknown
