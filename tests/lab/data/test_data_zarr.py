import numpy as np
import pytest
from zarr_stores import write

from lab.data import tokenizers, zarr_source


SEQ = 50
BOS = 256
TOKENIZER = tokenizers.load("bytes")


@pytest.fixture
def flat():
    """A stream of 41 samples and a bit: random bytes with a BOS now and then."""
    random = np.random.default_rng(0)
    tokens = random.integers(0, 256, 41 * SEQ + 7)
    tokens[random.integers(0, len(tokens), 30)] = BOS
    tokens[100] = BOS  # the last target of one sample, the first input of the next
    return tokens.astype(np.int32)


@pytest.fixture
def store(tmp_path, flat):
    folder = tmp_path / "store"
    write(folder, "train", flat)
    write(folder, "val", flat[::-1].copy())
    return str(folder)


def _iterator(store, **options):
    given = {"seq": SEQ, "batch": 4, "seed": 7} | options
    return zarr_source.batches(zarr_source.open(store, "train"), TOKENIZER, **given)


def _read(store, count, **options):
    stream = _iterator(store, **options)
    return [next(stream) for _ in range(count)]


def _same(a, b):
    return all((a[name] == b[name]).all() for name in ("tokens", "mask"))


def test_an_epoch_reads_every_sample_once_as_it_stands(store, flat):
    rows = np.concatenate([b["tokens"] for b in _read(store, 41, batch=1)])
    assert rows.shape == (41, SEQ + 1) and rows.dtype == np.int32
    expected = [flat[i * SEQ : (i + 1) * SEQ + 1] for i in range(41)]
    assert sorted(map(tuple, rows)) == sorted(map(tuple, expected))
    assert (rows != np.stack(expected)).any(), "shuffled"


def test_a_target_that_begins_a_document_is_masked(store):
    masked = 0
    for batch in _read(store, 10):
        tokens, mask = batch["tokens"], batch["mask"]
        assert mask.shape == (4, SEQ) and mask.dtype == bool
        assert (mask == (tokens[:, 1:] != BOS)).all()
        masked += (~mask).sum()
    assert masked > 10


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_a_restored_iterator_goes_on_to_the_bit(store, steps):
    stream = _iterator(store)
    for _ in range(steps):
        next(stream)
    state = stream.get_state()
    expected = [next(stream) for _ in range(12)]  # into the second epoch
    again = _iterator(store)
    again.set_state(state)
    assert all(_same(next(again), batch) for batch in expected)


def test_processes_share_the_batches_of_one(store):
    alone = _read(store, 15)
    parts = [_read(store, 15, process_index=i, process_count=2) for i in (0, 1)]
    for whole, left, right in zip(alone, *parts, strict=True):
        assert left["tokens"].shape == (2, SEQ + 1)
        for name in ("tokens", "mask"):
            assert (whole[name][0::2] == left[name]).all()
            assert (whole[name][1::2] == right[name]).all()


def test_passages_are_spread_and_as_the_store_has_them(store, flat):
    tokens = zarr_source.open(store, "val")
    found = zarr_source.passages(tokens, TOKENIZER, count=5, length=SEQ)
    assert found.tokens.shape == (5, SEQ + 1)
    for row, offset in zip(found.tokens, found.offsets, strict=True):
        assert (row == flat[::-1][offset : offset + SEQ + 1]).all()
    assert len(set(found.offsets)) == 5 and found.offsets[-1] > 30 * SEQ


def test_the_hash_follows_the_tokens(store, tmp_path, flat):
    one = zarr_source.open(store, "train").data_hash()
    assert one == zarr_source.open(store, "train").data_hash()
    assert one != zarr_source.open(store, "val").data_hash()
    write(tmp_path / "longer", "train", np.append(flat, 1))
    assert one != zarr_source.open(str(tmp_path / "longer"), "train").data_hash()


@pytest.mark.parametrize("dtype", ["int32", "uint16"])
def test_any_kind_of_whole_number_will_do(tmp_path, flat, dtype):
    write(tmp_path, "train", flat, dtype)
    assert (zarr_source.open(str(tmp_path), "train").read(0, 60) == flat[:60]).all()


def test_a_store_that_is_not_there_is_named(store, tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        zarr_source.open(str(tmp_path / "nowhere"), "train")
    with pytest.raises(FileNotFoundError, match="the folder holds store"):
        zarr_source.open(str(tmp_path), "train")
    with pytest.raises(ValueError, match="got 'test'"):
        zarr_source.open(store, "test")


def test_what_are_no_tokens_is_refused(tmp_path, store):
    write(tmp_path / "floats", "train", np.ones(200), "float32")
    with pytest.raises(ValueError, match="holds float32"):
        zarr_source.open(str(tmp_path / "floats"), "train")
    write(tmp_path / "large", "train", np.full(200, 4_000))
    with pytest.raises(ValueError, match="token 4000, and bytes has 257"):
        _read(str(tmp_path / "large"), 1, batch=1)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"seq": 100_000}, "too few for a sample of 100000"),
        ({"seq": 0}, "got seq=0"),
        ({"batch": 5, "process_count": 2}, "use a multiple of 2"),
        ({"epochs": 0}, "got epochs=0"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(store, options, said):
    with pytest.raises(ValueError, match=said):
        _read(store, 1, **options)


@pytest.mark.parametrize("count", [0, 42])
def test_too_many_passages_are_refused(store, count):
    tokens = zarr_source.open(store, "train")
    with pytest.raises(ValueError, match=f"got count={count}; use 1 to 41"):
        zarr_source.passages(tokens, TOKENIZER, count=count, length=SEQ)
