"""What is read: texts by name, and the units that an interval is over."""

import dataclasses

import numpy as np
import pytest

from lab.data import addresses, tokenizers
from lab.measure import texts
from lab.measure.texts import Source, Text


def test_a_split_in_a_name_goes_before_the_option():
    text = Text(corpus=("eltec-eng/train", "sotu", "sotu-chronicle"), split="val")
    found = [(one.corpus, one.split) for one in text.each()]
    assert found == [
        (("eltec-eng",), "train"),
        (("sotu",), "val"),
        (("sotu-chronicle",), "all"),
    ]


def test_a_command_that_reads_one_text_refuses_two():
    with pytest.raises(ValueError, match="Name one text: got a, b"):
        Source(corpus=("a", "b")).only()


def test_without_novels_the_speeches_stand_in_and_it_is_said(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path))
    assert Text().only().corpus == ("sotu",) and Text().each() == (Text().only(),)
    said = Source().stands_in
    assert said.startswith("eltec-eng is not on this machine (ttt-lab data prepare")
    assert said.endswith("sotu, which comes with this lab, is read instead.")


def test_a_text_that_was_named_is_never_replaced(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path))
    named = Source(corpus=("eltec-eng",))
    assert named.only().corpus == ("eltec-eng",) and named.stands_in == ""
    assert named.missing.startswith("eltec-eng is not on this machine (")
    for here in ("sotu", "sotu-chronicle", str(tmp_path)):
        assert Source(corpus=(here,)).missing == ""
    with pytest.raises(FileNotFoundError, match="data prepare eltec-eng"):
        named.shards("bytes")


def test_where_the_novels_are_they_are_read(monkeypatch):
    entry = dataclasses.replace(texts.ENTRIES["eltec-eng"], is_prepared=lambda: True)
    monkeypatch.setitem(texts.ENTRIES, "eltec-eng", entry)
    assert Text().only().corpus == ("eltec-eng",) and Text().stands_in == ""


@pytest.fixture(scope="module")
def chronicle(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TTT_LAB_DATA", str(tmp_path_factory.mktemp("data")))
        patch.delenv("TTT_LAB_QUICK", raising=False)
        text = Text(corpus=("sotu-chronicle",), length=64, per_novel=1, novels=5)
        opened = text.open("bpe-4k")
        return opened, opened.passages()


def test_passages_of_the_chronicle_begin_with_an_address_each(chronicle):
    opened, passages = chronicle
    assert len({passage.novel for passage in passages}) == len(passages) == 5
    decode = tokenizers.load("bpe-4k").decode
    for passage in passages:
        said = decode(passage.tokens.tolist()).strip()
        assert said[8:60] in addresses.text(passage.novel), "of the address it names"
    assert opened.about(passages).unit == "addresses"
    assert opened.about(passages).name == "sotu-chronicle-64"


def test_addresses_begin_where_they_are_said_to():
    whole = addresses.chronicle().encode()
    for name, start in list(addresses.starts().items())[::60]:
        own = addresses.text(name).strip().encode()
        assert whole[start : start + len(own)] == own


def test_passages_are_the_same_every_time(chronicle):
    opened, passages = chronicle
    again = opened.passages()
    assert all(
        np.array_equal(a.tokens, b.tokens) and a.novel == b.novel
        for a, b in zip(passages, again, strict=True)
    )
