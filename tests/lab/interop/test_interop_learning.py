"""A pretrained model learns while it reads, and its weights stay where they are."""

import numpy as np
import pytest
from small_pretrained import write_folder

import ttt_core as ttt
from lab import checkpoints
from lab.interop import huggingface, kept, learning
from lab.interop.learning import Learning


SMALL = dict(blocks=1, window=32, chunk=8, sinks=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The data folder, with a pretrained model called `little`."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTT_LAB_DATA", str(folder))
        found = huggingface.find(write_folder(folder / "source"))
        kept.keep(found, "little", lambda done, total: None)
        yield folder


def nats(name, ids):
    model = checkpoints.load(name)
    _, report = ttt.read(model, ttt.init_state(model), ids)
    return np.asarray(report.nll), report


@pytest.mark.parametrize("how", learning.HOWS)
def test_it_goes_by_its_name_and_learns(how, data):
    name = learning.chosen("little", Learning(how, **SMALL))
    assert name in checkpoints.kept()
    ids = np.random.default_rng(0).integers(0, 290, 32).astype(np.int32)
    found, report = nats(name, ids)
    plain, _ = nats("little", ids)
    np.testing.assert_allclose(found[:8], plain[:8], atol=2e-5)
    assert np.all(report.learned)
    assert np.abs(found[8:] - plain[8:]).max() > 1e-5


def test_only_what_is_new_is_written(data):
    size = lambda name: (data / "models" / name / f"{name}.safetensors").stat().st_size
    names = {
        how: learning.chosen("little", Learning(how, **SMALL)) for how in learning.HOWS
    }
    assert size(names["inplace"]) < 100
    assert size(names["inplace"]) < size(names["added"]) < size("little") / 4


def test_it_is_made_once(data):
    name = learning.chosen("little", Learning(**SMALL))
    card = data / "models" / name / f"{name}.json"
    before = card.stat().st_mtime_ns
    assert learning.chosen("little", Learning(**SMALL)) == name
    assert card.stat().st_mtime_ns == before


def test_without_the_model_it_was_made_from_it_says_what_is_missing(data):
    name = learning.chosen("little", Learning(**SMALL))
    (data / "models" / "little").rename(data / "models" / "away")
    try:
        with pytest.raises(FileNotFoundError, match="little"):
            checkpoints.load(name)
    finally:
        (data / "models" / "away").rename(data / "models" / "little")


@pytest.mark.parametrize(
    "changes, sentence",
    [
        ({"how": "inplace", "width": 3}, "leave it out"),
        ({"blocks": 9}, "from 0 to layers"),
        ({"window": 4}, "`chunk` must not exceed `window`"),
    ],
)
def test_what_does_not_fit_is_said(changes, sentence, data):
    with pytest.raises(ValueError, match=sentence):
        learning.keep("other", "little", Learning(**SMALL | changes))
    assert "other" not in kept.names()


def test_names_say_what_is_not_usual():
    assert learning.name_of("little", Learning()) == "little-inplace"
    found = learning.name_of("little", Learning("added", lr=0.5, window=256))
    assert found == "little-added-window-256-lr-0p5"
