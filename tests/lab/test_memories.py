"""Memories as files: what a document left comes back, and nothing fits by accident."""

import dataclasses
import json
import subprocess
import sys

import jax
import numpy as np
import pytest
import safetensors.numpy

import ttt_core as ttt
from lab import checkpoints, memories, results
from lab.measure import rereading
from lab.measure.parts import Kept
from lab.reading import forgetting
from lab.stopping import Stopped


pytestmark = pytest.mark.bits  # also compiled as people compile: `make slow`

TEXT = "The ships came in, one after the other, and lay at the quay. " * 6
IDS = np.frombuffer(TEXT.encode(), np.uint8).astype(np.int32)


@pytest.fixture(scope="module")
def state(nano):
    return ttt.read(nano, ttt.init_state(nano), IDS)[0]


@pytest.fixture(scope="module")
def about():
    return {"document": "ships.txt", "text": TEXT, "tokens": IDS, "name": "nano"}


@pytest.fixture(scope="module")
def file(nano, state, about, tmp_path_factory):
    path = tmp_path_factory.mktemp("memories") / "ships.memory"
    return memories.save(path, state, nano, **about)


def same(a, b) -> bool:
    equal = lambda x, y: x.dtype == y.dtype and np.array_equal(x, y)
    return jax.tree.all(jax.tree.map(equal, a, b))


def test_the_weights_come_back_bit_for_bit_with_an_empty_window(nano, state, file):
    found = memories.load(file, nano)
    assert same(found.fast, state.fast)
    fresh = ttt.init_state(nano)
    assert same(dataclasses.replace(found, fast=fresh.fast), fresh)


def test_the_sum_alone_would_miss_some_bits(nano, state, file):
    """Else the float32 form would not need what it keeps beside the change."""
    memory = memories.open_memory(file)
    assert sum(len(place) for place, _ in memory.missed.values()) > 0
    bare = dataclasses.replace(memory, missed={})
    with pytest.raises(ValueError, match="does not give the weights that were learned"):
        memories.fast_weights(bare, nano)


def test_the_card_says_where_the_memory_is_from(nano, state, file):
    card = memories.open_memory(file).card
    assert (card.document, card.model) == ("ships.txt", "nano")
    assert card.chunks == len(TEXT) // 16 and card.span == (0, len(TEXT) // 16 * 16)
    assert card.model_hash == checkpoints.model_hash(nano)
    assert (card.rule, card.lr, card.rate) == ("sgd", nano.config.inner.lr, 1.0)
    assert card.made["commit"] and card.made["date"]


def test_what_a_memory_is_worth_is_what_its_chunks_cost_less(nano, state, file):
    """The card's number, worked out by hand."""
    found = memories.open_memory(file).card.reread
    rows = IDS[: len(IDS) // 16 * 16].reshape(-1, 16)[list(found.chunks)]
    nats = lambda state: [float(ttt.score(nano, state, [], r).mean()) for r in rows]
    fresh = ttt.init_state(nano)
    loaded = dataclasses.replace(fresh, fast=state.fast)
    saved = np.mean(np.subtract(nats(fresh), nats(loaded)))
    assert found.gain.mean == pytest.approx(saved, abs=1e-6) and saved > 0
    assert found.gains[0].mean == 0, "none of the change saves nothing"
    assert found.lost.mean == 0, "the exact form loses nothing"


@pytest.mark.parametrize("form", ["float16", "rank1", "rank8"])
def test_smaller_forms_say_what_they_lose(form, nano, state, about, file, tmp_path):
    path = memories.save(tmp_path / "small", state, nano, form=form, **about)
    memory = memories.open_memory(path)
    loaded = memories.load(path, nano)
    ids = IDS[: memory.card.span[1]]
    chunks = np.array(memory.card.reread.chunks)
    nats = lambda fast: rereading.nats(nano, fast, ids, chunks).mean()
    lost = nats(loaded.fast) - nats(state.fast)
    assert memory.card.reread.lost.mean == pytest.approx(lost, abs=1e-6)
    assert not same(loaded.fast, state.fast)
    close = {"float16": 1e-3, "rank8": 0.5, "rank1": 1.0}[form]
    for k, change in memories.open_memory(file).change.items():
        away = np.linalg.norm(memory.change[k] - change) / np.linalg.norm(change)
        assert 0 < away < close, k


def test_a_change_of_rank_one_is_kept_whole_by_rank_one(nano, tmp_path):
    moved = jax.tree.map(
        lambda w: w + np.float32(0.01) * np.ones_like(w), ttt.split(nano)[0]
    )
    state = dataclasses.replace(
        ttt.init_state(nano), fast=moved, position=jax.numpy.int32(16)
    )
    path = memories.save(tmp_path / "one", state, nano, form="rank1")
    for matrix in memories.open_memory(path).change.values():
        np.testing.assert_allclose(matrix, 0.01, rtol=1e-4)


def test_another_model_is_refused_with_both_hashes(nano, file):
    slow = dataclasses.replace(nano, embed=nano.embed * 2)
    other = dataclasses.replace(
        nano, fast_mlps=jax.tree.map(lambda w: w * 2, nano.fast_mlps)
    )
    card = memories.open_memory(file).card
    for model, what in ((slow, card.model_hash), (other, card.start_hash)):
        with pytest.raises(ValueError, match="memory of another model") as told:
            memories.load(file, model)
        start = memories.hash_of(memories.arrays_of(model.fast_mlps))
        ours = start if what == card.start_hash else checkpoints.model_hash(model)
        assert what[:12] in str(told.value) and ours[:12] in str(told.value)


@pytest.mark.parametrize("where", [0.02, 0.3, 0.6, 0.95])
def test_a_damaged_file_is_refused(where, nano, file, tmp_path):
    data = bytearray(file.read_bytes())
    data[int(where * len(data))] ^= 4
    damaged = tmp_path / "damaged.memory"
    damaged.write_bytes(data)
    with pytest.raises(ValueError, match="damaged"):
        memories.open_memory(damaged)


def test_what_is_no_memory_is_said_to_be_none(nano, state, tmp_path):
    text = tmp_path / "text.memory"
    text.write_text("The ships came in.")
    with pytest.raises(ValueError, match="is not a memory, or is damaged"):
        memories.open_memory(text)
    stream = checkpoints.save_stream(tmp_path / "stream", state, nano)
    with pytest.raises(ValueError, match="is not a memory; `ttt-lab memory save`"):
        memories.open_memory(stream)


def test_names_are_paths_or_those_of_the_runs_folder(file, tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    with pytest.raises(FileNotFoundError, match="no memory 'ships'.*memory save"):
        memories.find("ships")
    memories.write(memories.folder() / "ships.memory", memories.open_memory(file))
    assert memories.find("ships") == memories.paths()[0]
    assert memories.find(file) == file
    with pytest.raises(FileNotFoundError, match="did you mean 'ships'"):
        memories.find("shps")


def test_what_left_nothing_is_refused(nano):
    never = ttt.without_learning(nano)
    with pytest.raises(ValueError, match="never learns while reading"):
        memories.remember(ttt.init_state(never), never)
    with pytest.raises(ValueError, match="Nothing was learned yet"):
        memories.remember(ttt.init_state(nano), nano)
    state = ttt.read(nano, ttt.init_state(nano), IDS[:48])[0]
    with pytest.raises(ValueError, match="learned from 48 tokens, and `tokens` has 40"):
        memories.remember(state, nano, tokens=IDS[:40])
    with pytest.raises(ValueError, match="There is no form 'flot16'; did you mean"):
        memories.remember(ttt.init_state(nano), nano, form="flot16")


@pytest.mark.parametrize("alpha", [0.0, 0.5, 2.0])
def test_more_or_less_of_a_memory_is_a_line_through_w0(alpha, nano, state, file):
    found = memories.load(file, nano, alpha=alpha).fast
    start = ttt.split(nano)[0]
    for w, w0, wt in zip(
        *map(jax.tree.leaves, (found, start, state.fast)), strict=True
    ):
        np.testing.assert_allclose(w, w0 + alpha * (wt - w0), atol=1e-6)
    if alpha == 0:
        assert same(found, start)


def test_factors_beyond_two_are_refused(nano, file):
    for call in (
        lambda: memories.load(file, nano, alpha=2.1),
        lambda: memories.mix([(-1.0, file)]),
    ):
        with pytest.raises(ValueError, match="is taken 0 to 2 times"):
            call()


def test_a_mixture_is_the_sum_of_its_parts(nano, file, about, tmp_path):
    other = ttt.read(nano, ttt.init_state(nano), IDS[::-1])[0]
    second = memories.save(tmp_path / "back.memory", other, nano, document="back")
    mixed = memories.mix([(0.5, file), (1.5, second)])
    one, two = map(memories.open_memory, (file, second))
    for k, matrix in mixed.change.items():
        expected = 0.5 * one.change[k] + 1.5 * two.change[k]
        np.testing.assert_allclose(matrix, expected, rtol=1e-6, atol=1e-9)
    assert mixed.card.title == f"0.5 * {file} + 1.5 * {second}"
    path = memories.write(tmp_path / "mixed.memory", mixed)
    memories.load(path, nano)
    with pytest.raises(ValueError, match="cannot be read again"):
        forgetting.forget(mixed, nano, IDS, 3)


def test_a_memory_is_one_with_itself_and_opposite_to_its_opposite(file):
    memory = memories.open_memory(file)
    turned = {k: -matrix for k, matrix in memory.change.items()}
    opposite = dataclasses.replace(memory, change=turned)
    for part in memories.compare(memory, opposite):
        assert part.cosine == pytest.approx(-1) and part.norms[0] == part.norms[1]
    assert memories.cosine(memory, memory) == pytest.approx(1)


def test_memories_of_two_models_are_not_set_side_by_side(file):
    memory = memories.open_memory(file)
    card = dataclasses.replace(memory.card, start_hash="0" * 64)
    with pytest.raises(ValueError, match="different models.*000000000000"):
        memories.compare(memory, dataclasses.replace(memory, card=card))


def test_forgetting_ends_where_a_reading_of_the_rest_never_was(nano, file, tmp_path):
    memory = memories.open_memory(file)
    new, receipt = forgetting.forget(memory, nano, IDS, since=6, text=TEXT)
    never = ttt.read(nano, ttt.init_state(nano), IDS[: 5 * 16])[0]
    path = memories.write(tmp_path / "less.memory", new)
    assert same(memories.load(path, nano).fast, never.fast)
    assert receipt.is_exact and receipt.kept == 5
    assert receipt.before == receipt.read_again == memory.card.learned_hash
    assert receipt.on_the_way == receipt.never_read_the_rest == receipt.after
    assert receipt.after != receipt.before
    assert receipt.tokens_forgotten == (80, memory.card.span[1])
    assert new.card.span == (0, 80) and len(new.gains) == len(memory.gains[:5])


def test_a_receipt_is_not_written_for_other_bits(nano, file):
    """The weights in the file are no longer those that the document makes."""
    memory = memories.open_memory(file)
    card = dataclasses.replace(memory.card, learned_hash="0" * 64)
    other = dataclasses.replace(memory, card=dataclasses.replace(card, form="float16"))
    with pytest.raises(ValueError, match="ends at other weights.*nothing was forg"):
        forgetting.forget(other, nano, IDS, since=6)


def test_a_stopped_forgetting_goes_on_to_the_same_receipt(
    nano, file, tmp_path, monkeypatch
):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path))
    monkeypatch.setattr(forgetting, "STRETCH", 4)
    memory = memories.open_memory(file)
    _, expected = forgetting.forget(memory, nano, IDS, since=8)
    seen = []

    def stop(done, total):
        seen.append(done)
        if done == total - 2:
            raise KeyboardInterrupt

    with (
        pytest.raises(Stopped, match="stretches are kept"),
        Kept("f", "stretches") as k,
    ):
        forgetting.forget(memory, nano, IDS, since=8, report=stop, keep=k)
    again = []
    with Kept("f", "stretches") as keep:
        report = lambda done, total: again.append(done)
        more = {"report": report, "keep": keep}
        _, receipt = forgetting.forget(memory, nano, IDS, since=8, **more)
    assert receipt == expected
    assert len(again) < len(seen) / 2, "what was kept is not read again"
    keep.forget()
    assert not list((tmp_path / "readings/parts").glob("*"))


@pytest.mark.parametrize("since", [-1, 0, 1, 500])
def test_only_what_was_learned_can_be_forgotten(since, nano, file):
    with pytest.raises(ValueError, match="from 2 to 2"):
        forgetting.forget(memories.open_memory(file), nano, IDS, since)


def test_another_text_is_not_read_again(nano, file):
    changed = np.where(np.arange(len(IDS)) == 7, 65, IDS)
    with pytest.raises(ValueError, match="is not the text that ships.txt was"):
        forgetting.forget(memories.open_memory(file), nano, changed, since=6)
    longer = np.concatenate([IDS, IDS])
    forgetting.check(memories.open_memory(file), longer, since=6)


def test_memories_open_without_jax(file):
    code = (
        "import sys; from lab import memories; "
        f"memories.sizes(memories.open_memory({str(file)!r})); "
        "print(sorted({'jax', 'equinox', 'ttt_core'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr


def test_the_card_is_plain_json(file):
    import safetensors

    with safetensors.safe_open(file, framework="numpy") as opened:
        card = json.loads(opened.metadata()["card"])
    assert card["document"] == "ships.txt" and card["reread"]["chunks"]


@pytest.mark.parametrize("card", ["null", "[]", "3", "{", "[" * 100_000, '{"form": 3}'])
def test_a_card_that_makes_no_sense_is_a_sentence(card, file, tmp_path):
    marks, arrays = memories._read(file)
    marks |= {"card": card, "sha256": memories._seal(card, arrays)}
    path = tmp_path / "odd.memory"
    path.write_bytes(safetensors.numpy.save(arrays, metadata=marks))
    with pytest.raises(
        ValueError, match=r"odd\.memory is a memory that makes no sense"
    ):
        memories.open_memory(path)


def test_state_and_model_are_taken_in_either_order(nano, state, about, file, tmp_path):
    memories.save(tmp_path / "turned", nano, state, **about)
    assert same(memories.load(tmp_path / "turned", nano).fast, state.fast)
    with pytest.raises(TypeError, match=r"call memories\.save\(path, state, model\)"):
        memories.save("a", state, "b")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"tokens": IDS + 0.5}, "whole numbers"),
        ({"tokens": TEXT}, "ids, not text"),
        ({"gains": [1.0, 2.0]}, "one number for each of the 22 chunks"),
    ],
)
def test_what_was_not_read_is_not_kept_as_read(wrong, said, nano, state):
    with pytest.raises(ValueError, match=said):
        memories.remember(state, nano, **wrong)


def test_memories_of_different_models_have_no_cosine(nano, state, file):
    memory = memories.open_memory(file)
    card = dataclasses.replace(memory.card, start_hash="another")
    other = dataclasses.replace(memory, card=card)
    assert memories.cosine(memory, memory) == pytest.approx(1)
    assert np.isnan(memories.cosine(memory, other))


@pytest.fixture(scope="module")
def read(nano, state):
    return state, nano


def _hostile(memory, **arrays):
    """The bytes of a memory whose arrays somebody has replaced and sealed anew."""
    from safetensors.numpy import save as to_bytes

    card = json.dumps(results.to_json(memory.card))
    marks = {"format": memories.FORMAT, "card": card}
    return to_bytes(arrays, metadata=marks | {"sha256": memories._seal(card, arrays)})


def test_a_memory_is_opened_from_its_bytes(tmp_path, nano, read):
    path = memories.save(tmp_path / "my.memory", *read, name="nano")
    opened = memories.open_bytes(path.read_bytes(), "my.memory")
    assert opened.card == memories.open_memory(path).card
    fast = memories.fast_weights(opened, nano)
    assert jax.tree.all(jax.tree.map(np.array_equal, fast, read[0].fast))


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.7", b"\xff" * 100, b"\x08" + bytes(7) + b"[1,2,3]."]
)
def test_bytes_that_are_no_memory_are_refused_by_their_name(data):
    with pytest.raises(ValueError, match=r"^holiday\.jpg is not a memory"):
        memories.open_bytes(data, "holiday.jpg")


def test_an_upload_cannot_ask_for_more_memory_than_there_is(nano, read, monkeypatch):
    memory = memories.remember(*read, name="nano")
    thin = {k: (m[:, :, :1], m[:, :1, :]) for k, m in memory.change.items()}
    large = np.zeros((1, 100_000, 1), np.float32)
    wide = np.zeros((1, 1, 100_000), np.float32)
    rows = {f"left.{k}": large for k in thin} | {f"right.{k}": wide for k in thin}
    bomb = _hostile(memory, **rows, gains=np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="100,000 x 100,000"):
        memories.open_bytes(bomb, "bomb.memory")
    monkeypatch.setattr(memories, "LARGEST", 10)
    with pytest.raises(ValueError, match="at most 0 MB"):
        memories.open_bytes(bomb, "bomb.memory")


@pytest.mark.parametrize("wrong", ["shape", "nan", "place"])
def test_a_change_that_does_not_fit_is_refused_with_a_sentence(nano, read, wrong):
    memory = memories.remember(*read, name="nano")
    change = {f"change.{k}": m.copy() for k, m in memory.change.items()}
    first = next(iter(change))
    if wrong == "shape":
        change[first] = change[first][:, :1]
    if wrong == "nan":
        change[first][0, 0, 0] = np.nan
    if wrong == "place":
        k = first.removeprefix("change.")
        change |= {f"place.{k}": np.array([10**9]), f"value.{k}": np.zeros(1, "f4")}
    bad = _hostile(memory, **change, gains=np.zeros(0, np.float32))
    with pytest.raises(ValueError, match=r"bad\.memory is damaged"):
        memories.fast_weights(memories.open_bytes(bad, "b"), nano, called="bad.memory")


def test_memories_in_hand_are_mixed_as_those_in_files(tmp_path, read):
    memory = memories.remember(*read, name="nano")
    path = memories.write(tmp_path / "a.memory", memory)
    one = memories.mix([(0.25, path), (0.5, path)])
    other = memories.mix_opened([(0.25, str(path), memory), (0.5, str(path), memory)])
    assert one.card.mixed == other.card.mixed
    for k, matrix in one.change.items():
        np.testing.assert_array_equal(matrix, other.change[k])
