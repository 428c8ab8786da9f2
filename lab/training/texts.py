"""What a training reads: still the texts of its first start, and enough of them?

A run folder's `data.json` holds, for every stage, the corpus, a hash of its tokens, the
tokenizer's, and the length of every document. A run that would go on with other texts
is refused with the names of what has changed.
"""

import json
from pathlib import Path

from lab import files
from lab.data import shards, sources, tokenizers
from lab.recipes.experiment import Phase
from lab.training.held_out import text_of


NAMED = 1000  # documents of a larger corpus are counted, not named
SHOWN = 3
# Up to about four readings, repeated text teaches almost as much as new text
# (Muennighoff et al. 2023, arXiv:2305.16264).
OFTEN = 4
TEXT = {"data_hash": str, "tokenizer": str, "documents": {str: int}}


def claim_texts(run: Path, phases: tuple[Phase, ...], done: int, *, write: bool = True):
    """Record the texts of a run, or compare them with those of its first start.

    Only stages that began within the first `done` steps are compared.

    **Raises** `ValueError` if a text has changed, with the names of what changed.
    """
    path = run / "data.json"
    before = files.read_json(path, {str: TEXT}) if path.exists() else {}
    now = {phase.stage.name: _about(phase) for phase in phases}
    begun = [phase.stage.name for phase in phases if phase.start < done]
    for name in begun:
        if changed := _changes(before.get(name, now[name]), now[name]):
            raise ValueError(
                f"what {run} was trained on has changed since: {changed}. Put it back "
                "as it was, or begin another run with --run NAME."
            )
    if write:
        files.write(path, json.dumps(before | now, indent=1) + "\n")


def remarks(phases: tuple[Phase, ...]) -> list[str]:
    """A sentence for each stage that repeats its text often or never fills a chunk."""
    found = [words for phase in phases for words in (_repeats(phase), _ragged(phase))]
    return list(dict.fromkeys(filter(None, found)))


def _about(phase: Phase) -> dict:
    corpus, tokenizer = phase.stage.corpus, tokenizers.load(phase.experiment.tokenizer)
    return {
        "corpus": corpus,
        "data_hash": sources.data_hash(corpus, tokenizer, "train"),
        "tokenizer": tokenizer.fingerprint,
        "documents": _lengths(phase),
    }


def _lengths(phase: Phase) -> dict[str, int]:
    """The documents of a stage with their numbers of tokens; empty if not known."""
    corpus = text_of(phase.stage.corpus)
    if corpus.startswith("zarr:"):
        return {}
    found = shards.open(corpus, phase.experiment.tokenizer, "train").documents
    return {entry.name: entry.length for entry in found[:NAMED]}


def _changes(then: dict, now: dict) -> str:
    """The differences of two descriptions, in words; empty if there are none."""
    if then["data_hash"] == now["data_hash"]:
        return ""
    if then["tokenizer"] != now["tokenizer"]:
        return "the tokenizer"
    old, new = then["documents"], now["documents"]
    both = [name for name in old if name in new]
    words = (
        _listed("new", [name for name in new if name not in old]),
        _listed("gone", [name for name in old if name not in new]),
        _listed("changed", [name for name in both if old[name] != new[name]]),
    )
    what = "; ".join(filter(None, words)) or "the same lengths, another content"
    return f"{now['corpus']} ({what})"


def _listed(what: str, names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return f"{what}: {', '.join(names[:SHOWN])}{more}" if names else ""


def _repeats(phase: Phase) -> str:
    stage, lengths = phase.stage, _lengths(phase)
    total = sum(lengths.values())
    if not total or len(lengths) == NAMED or stage.tokens <= OFTEN * total:
        return ""
    return (
        f"stage {stage.name}: the {total:,} tokens of {stage.corpus} will be read "
        f"{stage.tokens / total:,.0f} times; a longer text, or --set "
        f"{stage.name}.tokens={OFTEN * total}, guards against learning it by heart."
    )


def _ragged(phase: Phase) -> str:
    stage, chunk = phase.stage, phase.model.chunk
    rest = stage.seq % chunk
    if not rest or not phase.model.learns:
        return ""
    return (
        f"stage {stage.name}: sequences of {stage.seq:,} tokens are not whole chunks "
        f"of {chunk:,}; the last {rest:,} tokens of each are predicted, but not "
        f"learned from."
    )
