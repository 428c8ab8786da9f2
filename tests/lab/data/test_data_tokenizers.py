from importlib.util import find_spec
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.data import tokenizers


llama3 = pytest.param(
    "llama-3",
    marks=pytest.mark.skipif(
        find_spec("llama_models") is None, reason="the extra llama3 is not installed"
    ),
)
every = pytest.mark.parametrize("name", ["bytes", "bpe-4k", llama3])
NASTY = "Héllo <|bos|> <|begin_of_text|>  wörld 😀\r\n\t\x00 naïve\u0301 漢字 \ufffd"
texts = st.text(st.characters(codec="utf-8"), max_size=60)


@every
@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_any_text_comes_back(name, text):
    tokenizer = tokenizers.load(name)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert all(0 <= token < tokenizer.vocab for token in ids)
    assert tokenizer.bos not in ids


@every
@settings(max_examples=100, deadline=None)
@given(text=texts)
def test_spans_tile_the_text_and_hold_their_tokens_bytes(name, text):
    tokenizer = tokenizers.load(name)
    ids, spans = tokenizer.spans(text)
    data = text.encode("utf-8")
    assert ids.dtype == spans.dtype == np.int32
    assert ids.tolist() == tokenizer.encode(text)
    assert [data[a:b] for a, b in spans] == [tokenizer.decode_bytes([i]) for i in ids]
    assert b"".join(data[a:b] for a, b in spans) == data


@every
def test_written_out_special_tokens_are_ordinary_text(name):
    tokenizer = tokenizers.load(name)
    ids = tokenizer.encode(NASTY)
    assert tokenizer.decode(ids) == NASTY
    assert tokenizer.bos not in ids


@every
def test_bos_decodes_to_nothing(name):
    tokenizer = tokenizers.load(name)
    assert tokenizer.decode([tokenizer.bos, *tokenizer.encode("ab")]) == "ab"
    assert tokenizer.lengths[tokenizer.bos] == 0


@pytest.mark.parametrize(
    "name, vocab, bos",
    [("bytes", 257, 256), ("bpe-4k", 4096, 4095), ("llama-3", 128_256, 128_000)],
)
def test_vocabularies_have_their_sizes(name, vocab, bos):
    if name == "llama-3" and find_spec("llama_models") is None:
        pytest.skip("the extra llama3 is not installed")
    tokenizer = tokenizers.load(name)
    assert (tokenizer.name, tokenizer.vocab, tokenizer.bos) == (name, vocab, bos)
    assert len(tokenizer.pieces) == vocab
    assert len(tokenizer.fingerprint) == 64


def test_bpe_knows_every_byte_once():
    pieces = tokenizers.load("bpe-4k").pieces
    assert {bytes([value]) for value in range(256)} <= set(pieces)
    assert len(set(pieces)) == len(pieces)


def test_half_a_character_decodes_to_a_replacement():
    tokenizer = tokenizers.load("bytes")
    assert tokenizer.decode([ord("a"), 0xC3]) == "a\ufffd"
    assert tokenizer.decode_bytes([0xC3]) == b"\xc3"


def test_many_texts_encode_as_one_by_one():
    tokenizer = tokenizers.load("bpe-4k")
    many = [f"{NASTY} {number}" for number in range(19)]
    found = list(tokenizer.encode_many(many))
    assert [ids.tolist() for ids in found] == [tokenizer.encode(text) for text in many]


def test_training_gives_exactly_the_entries_asked_for(tmp_path):
    path = tmp_path / "small.json"
    path.write_text(tokenizers.train_bpe(["low lower lowest " * 30], 262), "utf-8")
    small = tokenizers.from_file(path)
    assert (small.name, small.vocab, small.bos) == ("small", 262, 261)
    assert small.decode(small.encode(NASTY)) == NASTY
    assert len(small.encode("lowest")) < 6


def test_fingerprints_tell_tokenizers_apart(tmp_path):
    prints = {tokenizers.load(name).fingerprint for name in ("bytes", "bpe-4k")}
    for vocab in (257, 260):
        path = tmp_path / f"{vocab}.json"
        path.write_text(tokenizers.train_bpe(["low lower lowest"], vocab), "utf-8")
        prints.add(tokenizers.from_file(path).fingerprint)
    assert len(prints) == 4


def test_unknown_name_suggests_a_known_one():
    with pytest.raises(ValueError, match="did you mean 'bpe-4k'"):
        tokenizers.load("bpe4k")


def test_ids_outside_the_vocabulary_are_named():
    for wrong in (4096, -1):
        with pytest.raises(ValueError, match=f"Token id {wrong} .* 0 to 4095"):
            tokenizers.load("bpe-4k").decode([wrong])


@pytest.mark.parametrize("name", ["bytes", "bpe-4k"])
def test_lone_surrogates_are_refused_with_their_place(name):
    tokenizer = tokenizers.load(name)
    with pytest.raises(ValueError, match="character 2 is the lone surrogate"):
        tokenizer.encode("ab\ud800")
    with pytest.raises(ValueError, match="lone surrogate"):
        list(tokenizer.encode_many(["ab\ud800"]))


def test_vocabularies_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="got vocab=256; use 257"):
        tokenizers.train_bpe(["abc"], 256)
    with pytest.raises(ValueError, match="too small for vocab=9000"):
        tokenizers.train_bpe(["abc"], 9000)


def test_llama_without_its_extra_names_it(monkeypatch):
    monkeypatch.setattr(tokenizers, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"ttt-e2e-lab\[llama3\]"):
        tokenizers.LlamaTokenizer()


def test_missing_tokenizer_file_says_how_to_make_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-tokenizer"):
        tokenizers.from_file(tmp_path / "none.json")


def test_a_long_text_is_encoded_as_any_and_stops_no_other_thread(monkeypatch):
    words = tokenizers.load("bpe-4k")
    text = "The ships, all 3 of them, left\u202e.\n\n" * 700
    whole = words._model.encode(text, add_special_tokens=False).ids
    # Of the methods of the model, only those for many texts leave threads alone.
    many = SimpleNamespace(encode_batch_fast=words._model.encode_batch_fast)
    monkeypatch.setattr(words, "_model", many)
    assert words.encode(text) == whole
