"""The recordings that ship: small, named with their licences, and still true."""

import re

import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, published
from lab.data import tokenizers


RECORDED = sorted(published.recordings())
NOVELS = ("dodo-1893", "marjoribanks-1866-needle", "miss-brown-1884")
FEW = 12  # chunks
TRACES = published.HERE / "traces"


def check_is_here(name):
    """Skip what needs a pretrained model that has not been added to this machine."""
    if name in checkpoints.adapters() and name not in checkpoints.kept():
        pytest.skip(f"{name} goes into a model that is not here")


@pytest.fixture(scope="module")
def model():
    """A model by name; each is opened once."""
    found = {}

    def get(name):
        check_is_here(name)
        if name not in found:
            found[name] = checkpoints.load(name)
        return found[name]

    return get


def test_five_readings_ship_and_three_are_novels():
    assert len(RECORDED) == 5 and set(NOVELS) <= set(RECORDED)
    for path in TRACES.glob("*.npz"):
        assert path.stat().st_size < 1_000_000
    for name in NOVELS:
        assert published.recordings()[name].document.startswith("eltec-eng/")


def test_every_recording_is_listed_with_model_and_licence():
    plate = (TRACES / "README.md").read_text("utf-8")
    listed = dict(re.findall(r"^\| `([\w-]+)\.npz` \| `([\w-]+)`", plate, re.M))
    headers = published.recordings()
    assert listed == {name: header.model for name, header in headers.items()}
    assert plate.count("public domain") >= 2 and "CC BY 4.0" in plate


@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_begins_as_the_model_reads_today(name, model):
    _holds(name, model, FEW)


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_a_recording_is_to_its_end_what_the_model_reads_today(name, model):
    _holds(name, model, published.recording(name).filled)


def _holds(name, model, chunks):
    """The first `chunks` of a recording are what the core reads, with and without."""
    trace = published.recording(name).upto(chunks)
    learner = model(trace.header.model)
    assert checkpoints.model_hash(learner) == trace.header.model_hash
    pairs = ((learner, trace.nll), (ttt.without_learning(learner), trace.nll_twin))
    for reader, recorded in pairs:
        state, report = ttt.read(reader, ttt.init_state(reader), trace.tokens)
        np.testing.assert_allclose(report.nll, recorded, atol=1e-3)
        assert abs(report.nll.mean() - recorded.mean()) < 1e-5


@pytest.mark.parametrize("name", RECORDED)
def test_the_tokens_of_a_recording_are_those_of_its_text(name):
    trace = published.recording(name)
    check_is_here(trace.header.model)
    words = tokenizers.load(trace.header.tokenizer)
    assert words.decode_bytes(trace.tokens) == trace.text[: trace.spans[-1, 1]]


def test_one_needle_is_remembered_by_the_weights_alone():
    trace = published.recording("marjoribanks-1866-needle")
    (out,) = [e.chunk for e in trace.header.events if e.kind == "needle-out"]
    place, unplanted = trace.worst_rank(0), trace.worst_rank(1)
    assert (place[out + 1 :] == 0).all() and (unplanted[out + 1 :] > 0).all()
    assert trace.recall(learning=True)[-1] > 5
    assert (trace.recall(learning=False)[out + 1 :] == 0).all()
    assert trace.read - trace.header.needle.stop > 14_000
