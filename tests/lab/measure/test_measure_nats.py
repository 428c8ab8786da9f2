"""Readings: the right reader, the right text, and nothing read twice."""

import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints
from lab.data import shards
from lab.measure import nats as readings
from lab.measure import pieces, readers, texts
from lab.measure.readers import Reader


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "prepared"))


@pytest.fixture
def novels(tmp_path):
    """Three documents of 100, 250 and 400 bytes."""
    folder = tmp_path / "novels"
    folder.mkdir()
    for name, length in zip("abc", (100, 250, 400), strict=True):
        words = "".join(f"{name}{i % 7} of {i % 3}, " for i in range(80))[:length]
        (folder / f"{name}.txt").write_text(words, encoding="utf-8")
    return shards.open(str(folder), "bytes", "all")


@pytest.fixture
def published(tmp_path, nano):
    """A function that saves nano with changes under a name and returns its path."""

    def save(name, card=None, **changes):
        import dataclasses

        model = dataclasses.replace(nano, config=nano.config.replace(**changes))
        about = {"tokenizer": "bytes", "tokens_seen": 7, "experiment": {"seq": 64}}
        checkpoints.save(tmp_path / name, model, about | (card or {}))
        return str(tmp_path / name)

    return save


def test_passages_are_evenly_spread_and_equally_many(novels):
    found = texts.passages(novels, length=100, per_novel=2)
    places = [(p.novel, p.offset, len(p.tokens)) for p in found]
    assert places == [("a", 0, 100), ("b", 0, 100), ("b", 100, 100)] + [
        ("c", 100, 100),
        ("c", 300, 100),
    ]
    assert np.array_equal(found[2].tokens, novels.tokens(1)[100:200])


def test_whole_documents_are_read_to_their_end(novels):
    assert [len(p.tokens) for p in texts.whole(novels)] == [100, 250, 400]
    assert [len(p.tokens) for p in texts.whole(novels, limit=120)] == [100, 120, 120]
    with pytest.raises(ValueError, match="`limit` must be >= 1 token.*-5"):
        texts.whole(novels, limit=-5)


@pytest.mark.parametrize(
    "mixers", [("window",), ("full",), ("full", "window"), ("kv_binding",)]
)
def test_what_never_learns_is_read_in_wider_pieces_to_the_same_numbers(nano, mixers):
    config = nano.config.replace(mixers=mixers, lr=0.0, chunk=16, window=32, expand=1.0)
    model = config.build(key=jax.random.key(0))
    noise = np.random.default_rng(1)  # no memory may start unheard
    model = jax.tree.map(lambda a: a + 0.1 * noise.normal(size=a.shape), model)
    width = 512 if mixers == ("full",) else 32
    wide = pieces.widened(model).config
    assert (wide.chunk, wide.bind_every) == (width, 16)
    tokens = np.random.default_rng(0).integers(0, 256, 1100)
    expected = ttt.read(model, ttt.init_state(model), tokens)[1].nll
    found = readings.read_tokens(model, tokens)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_pieces_of_what_learns_are_its_chunks(nano):
    assert nano.config.learns and pieces.widened(nano).config.chunk == nano.config.chunk
    wide = nano.config.replace(lr=0.0, chunk=700, window=900, mixers=("window",))
    assert pieces.widest(wide) == 700  # never narrower than the chunk


def test_a_length_that_no_document_has_is_refused(novels):
    with pytest.raises(ValueError, match="the longest has 400; use a smaller --length"):
        texts.passages(novels, length=401, per_novel=2)
    with pytest.raises(ValueError, match="per_novel=0"):
        texts.passages(novels, length=10, per_novel=0)


def test_spread_takes_passages_of_novels_far_apart(novels):
    found = texts.spread(texts.passages(novels, length=50, per_novel=1), 2)
    assert [p.novel for p in found] == ["a", "c"]
    with pytest.raises(ValueError, match="novels"):
        texts.spread(found, 0)


def test_a_reading_is_what_the_model_reads(novels, published, nano):
    name = published("learner")
    found = readings.read_all({"x": Reader(name)}, texts.whole(novels))
    tokens = np.asarray(novels.tokens(2), np.int32)
    expected = ttt.read(nano, ttt.init_state(nano), tokens)[1].nll
    assert np.allclose(found.nll["x"][2], expected, atol=1e-6)
    assert found.novels == ("a", "b", "c")


def test_passages_of_one_length_are_readings_of_their_own(novels, published):
    same = texts.passages(novels, length=100, per_novel=1)
    nll = readings.read_all({"x": Reader(published("learner"))}, same).nll["x"]
    assert not np.allclose(nll[0], nll[1])


def test_what_is_kept_is_not_read_again(novels, published, monkeypatch):
    labels = {"x": Reader(published("learner"))}
    first = readings.read_all(labels, texts.whole(novels))
    monkeypatch.setattr(readings, "read_tokens", None)
    again = readings.read_all(labels, texts.whole(novels))
    assert all(map(np.array_equal, first.nll["x"], again.nll["x"]))


def test_a_stopped_comparison_goes_on_with_what_is_missing(
    novels, published, monkeypatch
):
    labels, read, lengths = (
        {"x": Reader(published("learner"))},
        readings.read_tokens,
        [],
    )

    def stopping(model, tokens, report=None):
        lengths.append(len(tokens))
        if len(lengths) == 2:
            raise KeyboardInterrupt
        return read(model, tokens, report)

    monkeypatch.setattr(readings, "read_tokens", stopping)
    with pytest.raises(KeyboardInterrupt):
        readings.read_all(labels, texts.whole(novels))
    readings.read_all(labels, texts.whole(novels))
    assert lengths == [100, 250, 250, 400]


def test_a_damaged_file_is_read_again(novels, published, tmp_path):
    labels, passages = {"x": Reader(published("learner"))}, texts.whole(novels)
    first = readings.read_all(labels, passages)
    for path in (tmp_path / "runs").rglob("*.npy"):
        path.write_bytes(path.read_bytes()[:90])
    again = readings.read_all(labels, passages)
    assert all(map(np.array_equal, first.nll["x"], again.nll["x"]))


def test_frozen_twins_of_the_same_weights_are_read_once(novels, published, monkeypatch):
    plain = published("plain", lr=0.0)
    naive = published("naive", lr=0.3, clip=2.0)
    first = readings.read_all({"x": Reader(plain, learning=False)}, texts.whole(novels))
    monkeypatch.setattr(readings, "read_tokens", None)
    twin = readings.read_all({"x": Reader(naive, learning=False)}, texts.whole(novels))
    assert all(map(np.array_equal, first.nll["x"], twin.nll["x"]))


def test_learning_another_rate_or_clip_is_another_reading(novels, published):
    name, one = published("learner"), texts.whole(novels)[2:]
    labels = {
        "card": Reader(name),
        "rate": Reader(name, lr=0.3),
        "clip": Reader(name, clip=0.05),
        "frozen": Reader(name, learning=False),
    }
    found = [nll[0] for nll in readings.read_all(labels, one).nll.values()]
    for i, a in enumerate(found):
        assert np.allclose(a[:16], found[0][:16], atol=1e-5), "before the first update"
        assert not any(np.allclose(a[16:], b[16:]) for b in found[:i])


def test_full_attention_reads_as_far_as_it_was_trained(published):
    name = published("full", mixers=("full",), lr=0.0)
    one = readers.system(name)
    assert one.trained_to == one.frozen.limit == 64
    assert readers.system(name, full_to=80).frozen.limit == 80
    with pytest.raises(ValueError, match="`full_to` must be >= 1 token: got 0"):
        readers.system(name, full_to=0)
    assert readers.system(published("window", lr=0.0)).frozen.limit is None


def test_trained_length_is_the_longest_stage():
    card = {"experiment": {"stages": [{"seq": 2048}, {"seq": 16_384}]}}
    assert readers.trained_length(card) == 16_384
    assert readers.trained_length({"experiment": {"seq": 2048}}) == 2048
    assert readers.trained_length({}) is None


def test_models_that_cannot_be_compared_are_refused(published):
    a, b = published("a"), published("b", card={"tokenizer": "bpe-4k"})
    with pytest.raises(ValueError, match="a reads bytes, b reads bpe-4k"):
        readers.systems((a, b))
    with pytest.raises(ValueError, match="each once: got a, a"):
        readers.systems((a, a))
    with pytest.raises(ValueError, match="got none"):
        readers.systems(())


def test_a_model_without_fast_blocks_cannot_learn(published, tmp_path):
    config = ttt.preset("nano").replace(fast_blocks=0)
    import jax

    model = config.build(key=jax.random.key(0))
    checkpoints.save(tmp_path / "plain", model, {"tokenizer": "bytes"})
    with pytest.raises(ValueError, match="cannot learn while reading: it has 0 fast"):
        readers.load(Reader(str(tmp_path / "plain"), lr=0.1))


def test_a_loss_that_is_not_finite_is_named(novels, published, monkeypatch):
    broken = lambda model, tokens, report=None: np.where(tokens == tokens[3], np.nan, 1)
    monkeypatch.setattr(readings, "read_tokens", broken)
    with pytest.raises(ValueError, match="x gives token 3 of a"):
        readings.read_all({"x": Reader(published("learner"))}, texts.whole(novels))


@pytest.mark.slow
def test_workers_read_what_one_process_reads(novels, published):
    name = published("learner")
    limited = {"x": Reader(name), "y": Reader(name, learning=False, limit=90)}
    told = []
    apart = readings.read_all(
        limited, texts.whole(novels), workers=2, report=lambda *now: told.append(now)
    )
    assert told[0] == (0, 1020) and told[-1] == (1020, 1020)
    for path in (readings.runs.folder("readings")).rglob("*.npy"):
        path.unlink()
    alone = readings.read_all(limited, texts.whole(novels))
    for label in limited:
        pairs = zip(apart.nll[label], alone.nll[label], strict=True)
        assert all(np.allclose(a, b, atol=1e-5) for a, b in pairs)


def test_learning_from_a_repeating_text_is_a_gain_and_the_twin_has_none(nano):
    tokens = np.tile(np.arange(40, dtype=np.int32), 8)
    twin = ttt.without_learning(nano)
    gain = readings.read_tokens(twin, tokens) - readings.read_tokens(nano, tokens)
    chunk = nano.config.chunk
    np.testing.assert_allclose(gain[:chunk], 0, atol=1e-5)
    assert gain[-chunk:].mean() > gain[:chunk].mean() + 0.01
