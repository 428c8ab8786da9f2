import json
import os

import numpy as np
import pytest

from lab.data import addresses, corpora, eltec, shards, tokenizers


BYTES = tokenizers.load("bytes")


@pytest.mark.parametrize("name, dtype", [("bytes", np.uint16), ("bpe-4k", np.uint16)])
def test_shards_hold_every_document_as_the_tokenizer_gives_it(stories, name, dtype):
    tokenizer = tokenizers.load(name)
    made = shards.open(str(stories), name, "all")
    assert [entry.name for entry in made.documents] == [f"story{i}" for i in range(5)]
    for number, entry in enumerate(made.documents):
        text = (stories / f"{entry.name}.txt").read_text()
        tokens = made.tokens(number)
        assert isinstance(tokens, np.memmap) and tokens.dtype == dtype
        assert tokens.tolist() == tokenizer.encode(text)
        assert len(tokens) == entry.length
    assert made.total == sum(entry.length for entry in made.documents)
    assert len(made) == 5 and made.fingerprint == tokenizer.fingerprint


def test_a_large_vocabulary_takes_four_bytes(stories):
    class Wide(tokenizers.ByteTokenizer):
        name, vocab, fingerprint = "wide", 70_000, "wide"

    assert shards.open(str(stories), Wide(), "all").tokens(0).dtype == np.uint32


def test_files_are_split_between_documents_and_the_hash_does_not_care(
    stories, monkeypatch, tmp_path
):
    whole = shards.open(str(stories), BYTES, "all")
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "elsewhere"))
    cut = shards.Shards(
        shards.prepare_tokens(str(stories), BYTES, "all", shard_tokens=900)
    )
    assert whole.folder != cut.folder
    assert len(list(cut.folder.glob("*.npy"))) > 2
    assert whole.data_hash == cut.data_hash
    for number in range(len(whole)):
        assert (whole.tokens(number) == cut.tokens(number)).all()


def test_opening_again_tokenises_nothing(stories, monkeypatch):
    made = shards.open(str(stories), BYTES, "train")
    monkeypatch.setattr(shards, "_write", None)
    again = shards.open(str(stories), BYTES, "train")
    assert again.folder == made.folder and again.data_hash == made.data_hash


def test_a_changed_text_is_tokenised_again(stories):
    made = shards.open(str(stories), BYTES, "all")
    path = stories / "story1.txt"
    path.write_text(path.read_text().replace("1x0", "1y0"))  # of the same size
    os.utime(path, ns=(1, 1))
    assert shards.open(str(stories), BYTES, "all").data_hash != made.data_hash


def test_a_failed_preparation_leaves_nothing(stories, data_folder):
    (stories / "story3.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="story3.txt is not UTF-8"):
        shards.open(str(stories), BYTES, "all")
    assert list((data_folder / "tokens").iterdir()) == []


def test_damaged_files_say_what_to_delete(stories):
    made = shards.open(str(stories), BYTES, "all")
    (made.folder / "00000.npy").write_bytes(b"gone")
    with pytest.raises(ValueError, match="delete the folder"):
        made.tokens(0)


def test_the_index_is_plain_json(stories):
    made = shards.open(str(stories), BYTES, "val")
    index = json.loads((made.folder / "index.json").read_text())
    assert index["tokenizer"] == "bytes" and index["split"] == "val"
    assert index["documents"][0]["name"] == "story4"


def test_eltec_names_its_command_where_it_is_absent():
    with pytest.raises(FileNotFoundError, match="ttt-lab data prepare eltec-eng"):
        shards.open("eltec-eng", BYTES, "train")


def test_unknown_splits_and_corpora_are_refused():
    with pytest.raises(ValueError, match="got 'test'"):
        shards.open("sotu", BYTES, "test")
    with pytest.raises(FileNotFoundError, match="neither a name"):
        shards.open("no-such-corpus", BYTES, "all")


def test_sotu_holds_its_last_addresses_out():
    train, val = corpora.texts("sotu", "train"), corpora.texts("sotu", "val")
    names = [text.name for text in train + val]
    assert names == list(addresses.titles()) and len(val) == 20
    assert val[-1].read() == addresses.text(names[-1])
    assert [text.name for text in corpora.texts("sotu", "all")] == names


def test_a_folder_with_train_and_val_is_split_by_them(tmp_path):
    for split, name in (("train", "a"), ("train", "b"), ("val", "c")):
        (tmp_path / split).mkdir(exist_ok=True)
        (tmp_path / split / f"{name}.txt").write_text(name)
    names = {
        s: [t.name for t in corpora.texts(str(tmp_path), s)] for s in corpora.SPLITS
    }
    assert names == {"train": ["a", "b"], "val": ["c"], "all": ["a", "b", "c"]}


def test_one_document_holds_its_last_tenth_out(tmp_path):
    path = tmp_path / "long.txt"
    path.write_text("\n\n".join(f"Paragraph number {i}." for i in range(100)))
    (kept,), (held,) = (corpora.texts(str(path), s) for s in ("train", "val"))
    assert held.read().startswith("Paragraph number") and "99." in held.read()
    assert kept.read().rstrip() + "\n\n" + held.read() == path.read_text()
    assert 0.05 < len(held.read()) / len(path.read_text()) < 0.15


def test_folders_too_small_to_split_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no text files"):
        corpora.texts(str(tmp_path), "train")
    (tmp_path / "only.txt").write_text("one")
    with pytest.raises(ValueError, match="at least two files"):
        corpora.texts(str(tmp_path), "train")


def test_eltec_splits_are_whole_novels(monkeypatch):
    monkeypatch.setattr(eltec, "is_prepared", lambda: True)
    sizes = {split: len(corpora.texts("eltec-eng", split)) for split in corpora.SPLITS}
    assert sizes == {"train": 82, "val": 4, "all": 86}
