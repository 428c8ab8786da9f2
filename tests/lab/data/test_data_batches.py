import numpy as np
import pytest

from lab.data import batches, shards, tokenizers


BOS = 256
SEQ = 50


@pytest.fixture
def corpus(stories):
    return shards.open(str(stories), tokenizers.load("bytes"), "all")


def _read(corpus, count, **options):
    given = {"seq": SEQ, "batch": 4, "bos": BOS, "seed": 7} | options
    stream = batches.batches(corpus, **given)
    return [next(stream)["tokens"] for _ in range(count)]


def _place(corpus, row):
    """The document and offset that a row was read from."""
    wanted = bytes(row[1:].tolist())
    for number in range(len(corpus)):
        offset = bytes(corpus.tokens(number).tolist()).find(wanted)
        if offset >= 0:
            return number, offset
    raise AssertionError("the row crosses documents, or is from none")


def test_rows_are_bos_and_tokens_of_one_document(corpus):
    for tokens in _read(corpus, 12):
        assert tokens.shape == (4, SEQ + 1) and tokens.dtype == np.int32
        assert (tokens[:, 0] == BOS).all()
        for row in tokens:
            _place(corpus, row)


def test_an_epoch_reads_every_window_once_and_none_overlap(corpus):
    total = batches.windows(corpus, SEQ).total
    rows = np.concatenate(list(_read(corpus, total // 2, batch=2, epochs=2)))
    places = sorted(_place(corpus, row) for row in rows[: total - total % 2])
    gaps = [
        b[1] - a[1] for a, b in zip(places, places[1:], strict=False) if a[0] == b[0]
    ]
    assert len(set(places)) == len(places) and min(gaps) >= SEQ


def test_epochs_shuffle_and_cut_differently(corpus):
    total = batches.windows(corpus, SEQ).total
    rows = np.concatenate(_read(corpus, 2 * total, batch=1))
    first, second = (
        [_place(corpus, r) for r in part] for part in (rows[:total], rows[total:])
    )
    assert [a[0] for a in first] != [b[0] for b in second]
    assert set(first) != set(second)


def test_the_same_seed_gives_the_same_batches_and_another_does_not(corpus):
    one, same, other = (_read(corpus, 5, seed=seed) for seed in (1, 1, 2))
    assert all((a == b).all() for a, b in zip(one, same, strict=True))
    assert any((a != b).any() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("steps", [0, 1, 9])
def test_a_restored_iterator_goes_on_to_the_bit(corpus, steps):
    options = {"seq": SEQ, "batch": 4, "bos": BOS, "seed": 3}
    stream = batches.batches(corpus, **options)
    for _ in range(steps):
        next(stream)
    state = stream.get_state()
    expected = [next(stream)["tokens"] for _ in range(8)]  # into later epochs
    again = batches.batches(corpus, **options)
    again.set_state(state)
    assert all((next(again)["tokens"] == tokens).all() for tokens in expected)


def test_processes_share_the_batches_of_one(corpus):
    alone = _read(corpus, 15)
    parts = [_read(corpus, 15, process_index=i, process_count=2) for i in (0, 1)]
    for whole, left, right in zip(alone, *parts, strict=True):
        assert left.shape == (2, SEQ + 1)
        assert (whole[0::2] == left).all() and (whole[1::2] == right).all()


def test_epochs_end(corpus):
    total = batches.windows(corpus, SEQ).total
    stream = batches.batches(corpus, seq=SEQ, batch=4, bos=BOS, seed=0, epochs=3)
    assert sum(1 for _ in stream) == 3 * total // 4


def test_windows_count_what_is_dropped(corpus):
    lengths = [entry.length for entry in corpus.documents]
    counted = batches.windows(corpus, 300)
    assert counted.total == sum(length // 300 for length in lengths)
    assert counted.dropped == sum(length < 300 for length in lengths) > 0
    assert counted.dropped_tokens == sum(n for n in lengths if n < 300)
    assert counted.documents + counted.dropped == len(corpus)


def test_passages_are_spread_apart_and_the_same_every_time(corpus):
    found, again = (
        batches.passages(corpus, count=6, length=SEQ, bos=BOS) for _ in range(2)
    )
    assert found.tokens.shape == (6, SEQ + 1) and found.tokens.dtype == np.int32
    assert (found.tokens == again.tokens).all() and found.offsets == again.offsets
    places = list(zip(found.names, found.offsets, strict=True))
    assert len(set(places)) == 6 and len(set(found.names)) > 1
    for row, name, offset in zip(found.tokens, *zip(*places, strict=True), strict=True):
        number = [entry.name for entry in corpus.documents].index(name)
        assert row[0] == BOS
        assert (row[1:] == corpus.tokens(number)[offset : offset + SEQ]).all()


def test_all_passages_are_all_windows(corpus):
    total = batches.windows(corpus, SEQ).total
    found = batches.passages(corpus, count=total, length=SEQ, bos=BOS)
    assert len(set(zip(found.names, found.offsets, strict=True))) == total


@pytest.mark.parametrize(
    "options, said",
    [
        ({"seq": 100_000}, "has 100000 tokens: the longest has"),
        ({"seq": 0}, "got seq=0"),
        ({"batch": 0}, "got batch=0"),
        ({"batch": 5, "process_count": 2}, "use a multiple of 2"),
        ({"process_index": 1}, "got process_index=1"),
        ({"epochs": 0}, "got epochs=0"),
        ({"batch": 999, "epochs": 1}, "too few tokens for one batch"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(corpus, options, said):
    with pytest.raises(ValueError, match=said):
        _read(corpus, 1, **options)


@pytest.mark.parametrize("count", [0, 9_999])
def test_too_many_passages_are_refused(corpus, count):
    with pytest.raises(ValueError, match=f"got count={count}; use 1 to"):
        batches.passages(corpus, count=count, length=SEQ, bos=BOS)
