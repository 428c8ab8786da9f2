"""What is read: texts by name, and the units that an interval is over."""

import numpy as np
import pytest

from lab.data import addresses, tokenizers
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
