import numpy as np
import pytest
from zarr_stores import write

from lab.data import batches, shards, sources, tokenizers, zarr_source


OPTIONS = {"seq": 50, "batch": 4, "seed": 7}


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    tokens = np.random.default_rng(0).integers(0, 257, 3_000)
    for split in ("train", "val"):
        write(folder, split, tokens)
    return f"zarr:{folder}"


def test_documents_give_what_batches_gives(stories):
    opened = shards.open(str(stories), "bytes", "train")
    expected = batches.batches(opened, bos=256, **OPTIONS)
    found = sources.open_batches(str(stories), "bytes", **OPTIONS)
    for _ in range(9):
        batch = next(found)
        assert set(batch) == {"tokens"}
        assert (batch["tokens"] == next(expected)["tokens"]).all()


def test_a_store_gives_what_zarr_source_gives(store):
    tokenizer = tokenizers.load("bytes")
    opened = zarr_source.open(store.removeprefix("zarr:"), "train")
    expected = zarr_source.batches(opened, tokenizer, **OPTIONS)
    found = sources.open_batches(store, tokenizer, **OPTIONS)
    for _ in range(9):
        batch, wanted = next(found), next(expected)
        assert set(batch) == {"tokens", "mask"}
        assert all((batch[name] == wanted[name]).all() for name in batch)


@pytest.mark.parametrize("kind", ["documents", "recall", "zarr"])
def test_every_kind_is_resumed_by_one_number(kind, stories, store):
    corpus = {"documents": f"{stories}", "recall": f"recall:{stories}", "zarr": store}
    stream = sources.open_batches(corpus[kind], "bytes", **OPTIONS)
    rows = [next(stream)["tokens"] for _ in range(8)]
    again = sources.open_batches(corpus[kind], "bytes", **OPTIONS)
    assert again.get_state() == {"next_index": 0}
    again.set_state({"next_index": 5})
    assert all((next(again)["tokens"] == row).all() for row in rows[5:])


def test_windows_and_hashes_of_every_kind(stories, store):
    plain, mixed = str(stories), f"recall:{stories}"
    opened = shards.open(plain, "bytes", "train")
    total = batches.windows(opened, 50).total
    assert sources.count_windows(plain, "bytes", "train", 50) == total
    assert sources.count_windows(mixed, "bytes", "train", 50) == total
    assert sources.count_windows(store, "bytes", "val", 50) == 2_999 // 50
    names = (plain, mixed, f"{mixed}?share=0.1", store)
    hashes = [sources.data_hash(name, "bytes", "train") for name in names]
    assert hashes[0] == opened.data_hash
    assert len(set(hashes)) == 4 and all(len(one) == 64 for one in hashes)


def test_passages_of_a_mixture_are_its_texts(stories, store):
    plain, mixed, flat = (
        sources.open_passages(name, "bytes", count=2, length=50)
        for name in (str(stories), f"recall:{stories}?share=1", store)
    )
    assert (plain.tokens == mixed.tokens).all() and plain.names == mixed.names
    assert flat.tokens.shape == (2, 51)


@pytest.mark.parametrize("inner", ["zarr:/x", "recall:sotu"])
def test_a_mixture_is_made_of_documents(inner):
    with pytest.raises(ValueError, match="made of documents"):
        sources.open_batches(f"recall:{inner}", "bytes", **OPTIONS)


def test_a_store_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match="Cannot open the zarr store"):
        sources.open_batches(f"zarr:{tmp_path}/none", "bytes", **OPTIONS)
