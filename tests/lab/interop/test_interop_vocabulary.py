"""Tokenizers of pretrained models: any text is tiled, special tokens stay out of it."""

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_pretrained import TEXT, train_tokenizer
from tokenizers import Tokenizer

from lab.data.tokenizers import PretrainedTokenizer
from lab.interop import vocabulary


WHOLE = train_tokenizer()


def without(*values):
    """The tokenizer with some bytes taken out of the vocabulary."""
    found = copy.deepcopy(WHOLE)
    for character in values:
        del found["model"]["vocab"][character]
    return found


def made(described=WHOLE, *, bos=1, adds_bos=None, vocab=300):
    text, _ = vocabulary.from_json(described, bos=bos, adds_bos=adds_bos, vocab=vocab)
    return PretrainedTokenizer("small", text)


FULL = made()
LACKING = made(without("Ă", "ñ"))  # bytes 2 and 0xF1
TEXTS = (
    "",
    "the fog came in",
    "  two  spaces\n\n\ttabs\r\n",
    "Ærøskøbing, naïve café, cafe\u0301",
    "霧は小さな猫の足で来る 🐈‍⬛ 👩‍🚀",
    "<|endoftext|> and <|start|> are words here",
    "\x00\x02\x02 nul \x02\x7f end\x02",
    "\U00040000\U000bffff planes without letters",
    "\ufeff\u2028\u200f\U0010ffff",
)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens_tile_the_text_and_decode_to_it(text):
    ids, spans = FULL.spans(text)
    assert FULL.decode_bytes(ids) == text.encode()
    check_tiles(FULL, text, ids, spans)


def check_tiles(tokenizer, text, ids, spans):
    """Spans touch, cover the text, and hold the bytes of their tokens."""
    data = text.encode()
    assert spans.dtype == ids.dtype == np.int32 and spans.shape == (len(ids), 2)
    if not len(ids):
        assert not [byte for byte in data if not tokenizer.absent[byte]]
        return
    assert spans[0, 0] == 0 and spans[-1, 1] == len(data)
    assert (spans[1:, 0] == spans[:-1, 1]).all()
    for token, (start, stop) in zip(ids, spans, strict=True):
        held = bytes(byte for byte in data[start:stop] if not tokenizer.absent[byte])
        assert held == tokenizer.pieces[token]
    assert not {*ids.tolist()} & {0, 1}  # the special tokens


@settings(max_examples=200, deadline=None, database=None)
@given(st.text(max_size=60), st.booleans())
def test_any_text_is_tiled(text, lacks):
    tokenizer = LACKING if lacks else FULL
    check_tiles(tokenizer, text, *tokenizer.spans(text))


def test_a_byte_that_no_token_holds_belongs_to_the_token_before():
    assert np.flatnonzero(LACKING.absent).tolist() == [2, 0xF1]
    ids, spans = LACKING.spans("\x02\x02a\x02bc\x02")
    assert LACKING.decode(ids) == "abc"
    assert spans[0, 0] == 0 and spans[-1, 1] == 7
    whole, placed = LACKING.spans("\x02\x02")
    assert len(whole) == 0 and placed.shape == (0, 2)


def test_ordinary_text_comes_out_as_the_package_encodes_it():
    theirs = Tokenizer.from_str(json.dumps(WHOLE))
    assert FULL.encode(TEXT) == theirs.encode(TEXT, add_special_tokens=False).ids
    special = "<|endoftext|>"
    assert theirs.encode(special).ids == [0]
    assert FULL.decode(FULL.encode(special)) == special and 0 not in FULL.encode(
        special
    )


def test_many_texts_side_by_side_are_the_texts_one_by_one():
    for text, found in zip(TEXTS, FULL.encode_many(TEXTS), strict=True):
        assert found.tolist() == FULL.encode(text)


def test_a_normaliser_is_left_out_so_that_bytes_stay():
    found = made(WHOLE | {"normalizer": {"type": "NFC"}})
    text = "cafe\u0301"
    assert found.decode(found.encode(text)) == text


def template(first):
    single = [first, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": single, "pair": []}


PUTS = template({"SpecialToken": {"id": "<|start|>", "type_id": 0}})
PUTS_NOT = template({"Sequence": {"id": "A", "type_id": 0}})


@pytest.mark.parametrize(
    ("changes", "knobs", "bos"),
    [
        ({}, {"bos": 1}, 0),  # nothing is put in front: `<|endoftext|>`
        ({"post_processor": PUTS}, {"bos": 1}, 1),
        ({"post_processor": PUTS_NOT}, {"bos": 1}, 0),
        ({"post_processor": PUTS}, {"bos": 1, "adds_bos": False}, 0),
        ({}, {"bos": 1, "adds_bos": True}, 1),
        ({}, {"bos": None}, 0),
        ({"added_tokens": []}, {"bos": 7}, 7),
    ],
)
def test_a_text_starts_as_the_authors_start_it(changes, knobs, bos):
    assert made(WHOLE | changes, **knobs).bos == bos


def test_a_text_must_start_somehow():
    with pytest.raises(ValueError, match="bos_token_id is None, and there is no"):
        made(WHOLE | {"added_tokens": []}, bos=None)


def test_added_words_that_are_not_special_stay_words():
    word = {"id": 290, "content": "<think>", "special": False, "single_word": False}
    word |= {"lstrip": False, "rstrip": False, "normalized": False}
    found = made(WHOLE | {"added_tokens": [*WHOLE["added_tokens"], word]})
    ids, spans = found.spans("a<think>b")
    assert 290 in ids
    check_tiles(found, "a<think>b", ids, spans)
    greedy = word | {"lstrip": True}
    with pytest.raises(ValueError, match="'<think>' in tokenizer.json has lstrip"):
        made(WHOLE | {"added_tokens": [greedy]})


MODEL = WHOLE["model"]
SPACE = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True}
REFUSED = {
    "words": ({"model": MODEL | {"type": "WordPiece"}}, "model.type .* 'WordPiece'"),
    "bytes": (
        {"model": MODEL | {"byte_fallback": True}},
        "model.byte_fallback .* True",
    ),
    "lower": ({"normalizer": {"type": "Lowercase"}}, "normalizer .* 'Lowercase'"),
    "space": ({"pre_tokenizer": SPACE}, "pre_tokenizer.add_prefix_space .* True"),
    "none": ({"pre_tokenizer": None}, "pre_tokenizer .* has no ByteLevel"),
    "metaspace": ({"pre_tokenizer": {"type": "Metaspace"}}, "'Metaspace'"),
    "no model": ({"model": None}, "tokenizer.json is damaged"),
    "merges": ({"model": MODEL | {"merges": [["q", "zz"]]}}, "is damaged"),
    "no list": ({"added_tokens": 3}, "tokenizer.json is damaged"),
}


@pytest.mark.parametrize(("changes", "said"), REFUSED.values(), ids=REFUSED)
def test_other_tokenizers_are_refused_with_field_and_value(changes, said):
    with pytest.raises(ValueError, match=said):
        made(WHOLE | changes)


def test_more_entries_than_the_model_has_are_refused():
    with pytest.raises(ValueError, match="has the entry 289, but its model has 200"):
        made(vocab=200)


def test_an_entry_at_another_place_is_refused():
    word = WHOLE["added_tokens"][0] | {"id": 299, "content": "<x>", "special": False}
    with pytest.raises(ValueError, match="'<x>' should be entry 299, and is 290"):
        made(WHOLE | {"added_tokens": [*WHOLE["added_tokens"], word]})


def test_a_damaged_definition_is_a_sentence():
    for text in ("{", "[]", '{"vocab": 3, "bos": 0, "special": [], "tokenizer": {}}'):
        with pytest.raises(ValueError, match="The tokenizer of small is damaged"):
            PretrainedTokenizer("small", text)


def gguf_lists():
    entries = sorted(MODEL["vocab"], key=MODEL["vocab"].get)
    kinds = [3 if entry in ("<|endoftext|>", "<|start|>") else 1 for entry in entries]
    return entries, kinds, [" ".join(pair) for pair in MODEL["merges"]]


def test_gguf_lists_make_the_same_tokenizer():
    text, bos = vocabulary.from_gguf(*gguf_lists(), "gpt-2", bos=1, adds_bos=False)
    found = PretrainedTokenizer("small", text)
    assert bos == found.bos == 0
    for text in (*TEXTS, TEXT):
        assert found.encode(text) == FULL.encode(text)


@pytest.mark.parametrize("cut", vocabulary.CUTS)
def test_every_known_cut_tiles_every_text(cut):
    text, _ = vocabulary.from_gguf(*gguf_lists(), cut, bos=1, adds_bos=True)
    found = PretrainedTokenizer("small", text)
    for text in (*TEXTS, "12345 don't WE'LL 2²½"):
        check_tiles(found, text, *found.spans(text))


def test_cuts_differ_where_they_should():
    pieces = {}
    for cut in ("gpt-2", "smollm", "llama-bpe", "qwen2"):
        steps = {"type": "Sequence", "pretokenizers": vocabulary.CUTS[cut]}
        plain = json.dumps(WHOLE | {"pre_tokenizer": steps, "added_tokens": []})
        found = Tokenizer.from_str(plain).pre_tokenizer.pre_tokenize_str("in 12345")
        pieces[cut] = [piece for piece, _ in found]
    assert pieces["gpt-2"] == ["in", "Ġ12345"]
    assert pieces["smollm"] == ["in", "Ġ", "1", "2", "3", "4", "5"]
    assert pieces["llama-bpe"] == ["in", "Ġ", "123", "45"]
    assert pieces["qwen2"] == ["in", "Ġ", "1", "2", "3", "4", "5"]


def test_an_unknown_cut_is_refused_with_its_value():
    with pytest.raises(ValueError, match="tokenizer.ggml.pre is 'deepseek'"):
        vocabulary.from_gguf(*gguf_lists(), "deepseek", bos=1, adds_bos=False)
