"""Models and streams as files: what is saved comes back, what is damaged is refused."""

import hashlib
import json
import pickle
import re
import struct

import jax
import numpy as np
import pytest
import safetensors.numpy

import ttt_core as ttt
from lab import checkpoints, files, published, runs


pytestmark = pytest.mark.bits  # also compiled as people compile: `make slow`


PUBLISHED = sorted(checkpoints.PUBLISHED.glob("*.json"))


@pytest.fixture(scope="module")
def model():
    return ttt.preset("nano").build(key=jax.random.key(1))


@pytest.fixture
def saved(model, tmp_path):
    return checkpoints.save(tmp_path / "small", model, {"tokenizer": "bytes"})


def same(a, b) -> bool:
    equal = lambda x, y: x.dtype == y.dtype and np.array_equal(x, y)
    return jax.tree.all(jax.tree.map(equal, a, b))


@pytest.mark.parametrize("path", PUBLISHED, ids=lambda path: path.stem)
def test_a_published_model_is_what_its_preset_says(path):
    config = checkpoints.config_from_dict(checkpoints.card(path)["config"])
    preset = ttt.preset(path.stem.removesuffix("-recall"))
    extended = preset.replace(rope_theta=config.rope_theta)  # longer sequences, later
    assert config == extended
    assert published.learns(checkpoints.card(path)) == config.learns


REMARKS = {
    "tiny-e2e": "",
    "tiny-swa": "never learns",
    "tiny-kvb": "learns keys, not text",
}


@pytest.mark.parametrize("name", REMARKS)
def test_a_card_says_whether_its_model_learns_text(name, tmp_path):
    config = ttt.preset(name).replace(vocab=16, bos=0, layers=1, d_ff=8, fast_blocks=1)
    model = config.build(key=jax.random.key(0))
    written = checkpoints.card(checkpoints.save(tmp_path / name, model, {}))
    assert published.remark(written) == REMARKS[name]
    assert published.remark(published.models()[name]) == REMARKS[name]


def test_a_saved_model_comes_back_bit_for_bit(model, saved):
    for name in (saved, saved.with_suffix(""), saved.with_suffix(".safetensors")):
        loaded = checkpoints.load(name)
        assert same(loaded, model)
        assert loaded.config == model.config


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run called `wider` of the experiment `small`, with no model yet."""
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    stages = [{"name": "pretrain"}, {"name": "extend"}]
    about = json.dumps({"name": "small", "stages": stages})
    files.write(tmp_path / "runs" / "wider" / "experiment.json", about)
    return tmp_path / "runs" / "wider"


def test_a_run_goes_by_its_name_to_its_newest_model(run, model):
    with pytest.raises(FileNotFoundError, match="'wider' has no model yet.*pretrain, "):
        checkpoints.load("wider")
    assert runs.models() == {}
    for name in ("small-pretrain", "small-extend", "small"):
        checkpoints.save(run / name, model, {"tokenizer": name})
        for given in ("wider", run):
            assert checkpoints.card(given)["tokenizer"] == name
            assert checkpoints.card(given)["name"] == "wider"  # not the recipe's
    assert same(checkpoints.load("wider"), model)
    assert list(runs.models()) == ["wider"]
    assert checkpoints.card(run / "small.json")["name"] == "small"


def test_a_damaged_run_takes_nothing_else_away(run, model):
    checkpoints.save(run.with_name("tuned") / "tuned", model, {})  # no experiment
    (run / "experiment.json").write_text("{")
    assert list(runs.models()) == ["tuned"]
    with pytest.raises(FileNotFoundError, match="did you mean 'wider'"):
        checkpoints.card("widr")


def test_a_published_name_is_never_a_runs(run, model):
    checkpoints.save(run.with_name("tiny-e2e") / "tiny-e2e", model, {"tokenizer": "x"})
    assert checkpoints.card("tiny-e2e")["tokenizer"] == "bpe-4k"


def test_a_card_may_point_at_the_weights_of_another(model, saved):
    card = json.loads(saved.read_text())
    card["weights"] = "small"
    card["config"]["inner"]["lr"] = 0.25
    saved.with_name("naive.json").write_text(json.dumps(card))
    naive = checkpoints.load(saved.with_name("naive"))
    assert naive.config.inner.lr == 0.25
    assert same(naive.embed, model.embed)


def test_a_damaged_file_is_refused(saved):
    weights = saved.with_suffix(".safetensors")
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match="damaged or was replaced"):
        checkpoints.load(saved)


def test_an_unknown_name_is_answered_with_what_there_is():
    with pytest.raises(FileNotFoundError, match="There is no model 'tiny-e3e'"):
        checkpoints.load("tiny-e3e")


def test_weights_that_do_not_fit_their_configuration_are_refused(saved):
    card = json.loads(saved.read_text())
    card["config"]["d_ff"] = 48
    saved.write_text(json.dumps(card))
    with pytest.raises(ValueError, match="its configuration says"):
        checkpoints.load(saved)


def test_an_unclipped_configuration_survives_json():
    config = ttt.preset("nano").replace(clip=float("inf"))
    data = json.loads(json.dumps(checkpoints.config_to_dict(config), allow_nan=False))
    assert checkpoints.config_from_dict(data) == config


@pytest.mark.parametrize("preset", ["nano", "tiny-full"])
@pytest.mark.parametrize("rule", ["sgd", "adam"])
def test_a_stream_saved_and_continued_is_bit_identical(preset, rule, tmp_path):
    """Invariant 2: save, reload and continue, as if never stopped."""
    config = ttt.preset(preset).replace(rule=rule, vocab=257, bos=256, chunk=16)
    config = config.replace(d_model=32, layers=2, fast_blocks=1, window=16, d_ff=32)
    model = config.replace(d_fast=32).build(key=jax.random.key(0))
    tokens = np.random.default_rng(0).integers(0, 256, 90)
    state, _ = ttt.read(model, ttt.init_state(model, capacity=32), tokens[:41])
    path = checkpoints.save_stream(tmp_path / "stream.safetensors", state, model)
    loaded = checkpoints.load_stream(path, model)
    assert same(loaded, state)
    on, on_report = ttt.read(model, state, tokens[41:])
    again, report = ttt.read(model, loaded, tokens[41:])
    assert same(again, on)
    assert same(report, on_report)


def test_a_stream_of_the_first_format_goes_on(model, tmp_path):
    state, _ = ttt.read(model, ttt.init_state(model), np.arange(20))
    path = checkpoints.save_stream(tmp_path / "stream", state, model)
    with safetensors.safe_open(path, "numpy") as file:
        marks, named = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}
    assert marks["format"] == "ttt-e2e-lab stream 2"
    then = lambda name: re.sub(r"^mixers\.(slow|fast)(_blocks)?\.", r"states.\1.", name)
    older = {then(name): array for name, array in named.items()}
    assert {"states.slow.0.0.keys", "states.fast.0.0.count"} <= set(older)
    assert not {"states.slow.0.0.keys"} & set(named)
    marks["format"] = "ttt-e2e-lab stream 1"
    safetensors.numpy.save_file(older, path, metadata=marks)
    assert same(checkpoints.load_stream(path, model), state)
    marks["format"] = "ttt-e2e-lab stream 3"
    safetensors.numpy.save_file(older, path, metadata=marks)
    with pytest.raises(ValueError, match="not a saved stream"):
        checkpoints.load_stream(path, model)


def test_streams_are_saved_with_state_and_model_in_either_order(model, tmp_path):
    state = ttt.init_state(model)
    for pair in [(state, model), (model, state)]:
        path = checkpoints.save_stream(tmp_path / "s", *pair)
        assert same(checkpoints.load_stream(path, model), state)
    for wrong in [(state, state), (model, model), ("tiny-e2e", state)]:
        with pytest.raises(TypeError, match=r"call save_stream\(path, state, model\)"):
            checkpoints.save_stream(tmp_path / "u", *wrong)
    assert not (tmp_path / "u").exists()


def test_the_stream_of_another_model_is_refused(model, tmp_path):
    path = checkpoints.save_stream(tmp_path / "s", ttt.init_state(model), model)
    other = ttt.preset("nano").build(key=jax.random.key(2))
    with pytest.raises(ValueError, match="stream of another model"):
        checkpoints.load_stream(path, other)


def test_a_file_that_is_no_stream_is_refused(model, saved, tmp_path):
    with pytest.raises(ValueError, match="not a saved stream"):
        checkpoints.load_stream(saved.with_suffix(".safetensors"), model)
    (tmp_path / "noise").write_bytes(b"no stream at all")
    with pytest.raises(ValueError, match="not a saved stream"):
        checkpoints.load_stream(tmp_path / "noise", model)
    with pytest.raises(FileNotFoundError, match="no saved stream"):
        checkpoints.load_stream(tmp_path / "nothing", model)


def header(tensors: object) -> bytes:
    told = json.dumps(tensors).encode()
    return struct.pack("<Q", len(told)) + told


def one(shape: list, ends: list, kind: str = "F32") -> bytes:
    return header({"a": {"dtype": kind, "shape": shape, "data_offsets": ends}})


DAMAGED = {
    "empty": b"",
    "zeros": bytes(100),
    "cut": one([50], [0, 200]) + bytes(40),
    "header of 2^60 bytes": struct.pack("<Q", 2**60) + b"{}",
    "not JSON": struct.pack("<Q", 4) + b"abcd",
    "a list": header([1, 2]),
    "a shape that overflows": one([2**40, 2**40], [0, 4]) + bytes(4),
    "offsets beyond the file": one([2], [4000, 4008]),
    "a negative shape": one([-1], [0, 4]) + bytes(4),
    "numbers that numpy lacks": one([4], [0, 4], "F8_E4M3") + bytes(4),
    "a pickle": pickle.dumps({"a": 1.0}),
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_a_sentence_with_its_name(content, saved, model, tmp_path):
    weights = saved.with_suffix(".safetensors")
    weights.write_bytes(content)
    with pytest.raises(ValueError, match=r"small\.safetensors has sha256"):
        checkpoints.load(saved)
    write_hash(saved)
    with pytest.raises(ValueError, match=r"small\.safetensors is not a safetensors"):
        checkpoints.load(saved)
    with pytest.raises(ValueError, match=r"small\.safetensors is not a saved stream"):
        checkpoints.load_stream(weights, model)


def write_hash(card):
    """Make a card say that the weights beside it are its own."""
    found = hashlib.sha256(card.with_suffix(".safetensors").read_bytes()).hexdigest()
    card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": found}))


def first_changed(path, change):
    """Rewrite a file with one array of floats changed, and return the array's name."""
    with safetensors.safe_open(path, "numpy") as file:
        marks = file.metadata()
    arrays = safetensors.numpy.load_file(path)
    name = next(name for name, array in arrays.items() if array.dtype == np.float32)
    arrays[name] = change(arrays[name].copy())
    safetensors.numpy.save_file(arrays, path, metadata=marks)
    return name


def with_one(value):
    def change(array):
        array.flat[3] = value
        return array

    return change


WRONG = {
    "int32": (lambda array: array.astype(np.int32), "holds int32 where float32"),
    "bool": (lambda array: array > 0, "holds bool where float32"),
    "NaN": (with_one(np.nan), r"1 of the [\d,]+ numbers of .* are NaN or infinite"),
    "inf": (with_one(np.inf), r"1 of the [\d,]+ numbers of .* are NaN or infinite"),
}


@pytest.mark.parametrize(("change", "said"), WRONG.values(), ids=WRONG)
def test_wrong_numbers_are_refused_at_loading(change, said, model, saved, tmp_path):
    first_changed(saved.with_suffix(".safetensors"), change)
    write_hash(saved)
    with pytest.raises(ValueError, match=rf"small\.safetensors: .*{said}"):
        checkpoints.load(saved)
    stream = checkpoints.save_stream(tmp_path / "a", ttt.init_state(model), model)
    first_changed(stream, change)
    with pytest.raises(ValueError, match=f"a: .*{said}"):
        checkpoints.load_stream(stream, model)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("n_open", np.int32(10_000), "n_open is 10000, which cannot be"),
        ("position", np.int32(-1), "position is -1, which cannot be"),
        ("open", np.zeros(3, np.int32), r"open has shape \[3\]"),
        ("position", np.zeros(3, np.int32), r"position has shape \[3\]"),
    ],
)
def test_a_stream_that_cannot_go_on_is_refused(name, value, said, model, tmp_path):
    path = checkpoints.save_stream(tmp_path / "a", ttt.init_state(model), model)
    with safetensors.safe_open(path, "numpy") as file:
        marks = file.metadata()
    arrays = safetensors.numpy.load_file(path) | {name: np.asarray(value)}
    safetensors.numpy.save_file(arrays, path, metadata=marks)
    with pytest.raises(ValueError, match=f"a: {said}"):
        checkpoints.load_stream(path, model)


CARDS = {
    "cut": '{"config": {"inn',
    "empty": "",
    "a list": "[1, 2]",
    "a number": "3",
    "no configuration": '{"sha256": "0"}',
    "a configuration of another type": '{"sha256": "0", "config": "tiny"}',
    "a rate of another type": '{"sha256": "0", "config": {"inner": {"lr": "1"}, '
    '"fast_blocks": 1}}',
    "a hash of another type": '{"sha256": 1, "config": {"inner": {"lr": 1}, '
    '"fast_blocks": 1}}',
    "not UTF-8": "\udcff",
    "endless brackets": "[" * 100_000,
}


@pytest.mark.parametrize("content", CARDS.values(), ids=CARDS)
def test_a_damaged_card_takes_away_only_itself(content, saved, monkeypatch):
    whole = saved.with_name("whole.json")
    whole.write_text(saved.read_text())
    saved.write_text(content, "utf-8", "surrogateescape")
    for read in (checkpoints.card, checkpoints.load):
        with pytest.raises(ValueError, match=r"small\.json is not the card of a model"):
            read(saved)
    (saved.parent / "models").symlink_to(saved.parent)
    monkeypatch.setattr(published, "HERE", saved.parent)
    assert list(published.models()) == ["whole"]
    assert published.damaged() == ["small.json is damaged, so it is left out."]


def test_a_configuration_that_does_not_fit_is_named(saved):
    card = json.loads(saved.read_text())
    for change in ({"heads": "two"}, {"width": 3}, {"d_model": -1}):
        saved.write_text(json.dumps(card | {"config": card["config"] | change}))
        with pytest.raises(ValueError, match=r"small\.json is not the card of a model"):
            checkpoints.load(saved)


def test_a_stream_with_one_changed_number_is_refused(model, tmp_path):
    state, _ = ttt.read(model, ttt.init_state(model), np.arange(20))
    path = checkpoints.save_stream(tmp_path / "stream", state, model)
    marks, content = checkpoints.stream_marks(path), bytearray(path.read_bytes())
    content[-3] ^= 1  # still a number, and not the one that was written
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is damaged"):
        checkpoints.load_stream(path, model)
    with safetensors.safe_open(path, "numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}
    del marks["sha256"]  # as older files are
    safetensors.numpy.save_file(arrays, path, metadata=marks)
    checkpoints.load_stream(path, model)


def test_what_a_card_does_not_say_is_a_sentence(model, tmp_path):
    checkpoints.save(tmp_path / "bare", model, {})
    card = checkpoints.card(tmp_path / "bare")
    del card["config"]["heads"]
    for said, field in [(card, "tokenizer"), (card["config"], "heads")]:
        with pytest.raises(ValueError, match=rf"bare\.json does not say '{field}'"):
            said[field]


@pytest.mark.parametrize("field", ["name", "tokenizer", "weights"])
def test_a_card_with_a_number_for_a_word_is_damaged(field, model, tmp_path):
    checkpoints.save(tmp_path / "odd", model, {field: 5})
    with pytest.raises(ValueError, match="odd.json is not the card of a model"):
        checkpoints.card(tmp_path / "odd")
