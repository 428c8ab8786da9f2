"""The tokenizer of a pretrained model, as `lab.data.tokenizers` takes it.

Two things are asked of it here that its authors did not ask: no text encodes to a
special token, and the tokens of any text tile the text's bytes. So a special token that
is spelled out stays text, a normaliser is left out (Qwen's NFC changes bytes; text in
NFC comes out as its authors encode it), and only byte-level BPE is accepted. A GGUF
file keeps vocabulary and merges, and the name of a rule for cutting text before.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from lab.data import tokenizers


END = "<|endoftext|>"
_WORD = r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
_DIGITS = {"type": "Digits", "individual_digits": True}


def _cut(regex: str) -> list[dict]:
    split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated"}
    return [split | {"invert": False}, _BYTES | {"use_regex": False}]


CUTS = {  # GGUF's names of how a text is cut before merges
    "default": [_BYTES | {"use_regex": True}],
    "gpt-2": [_BYTES | {"use_regex": True}],
    "smollm": [_DIGITS, _BYTES | {"use_regex": True}],
    "llama-bpe": _cut(_WORD + r"\p{N}{1,3}" + _REST),
    "qwen2": _cut(_WORD + r"\p{N}" + _REST),
}
WHOLE_WORDS = ("llama-bpe",)  # a word that is an entry is taken without merging


def from_json(
    described: Mapping, *, bos: int | None, adds_bos: bool | None, vocab: int
) -> tuple[str, int]:
    """`(definition, bos)` from the contents of a tokenizer.json.

    `bos`: what the model's authors call so. `adds_bos`: whether the tokenizer puts it
    in front of a text, None = as its post-processor says. `vocab`: the model's entries.

    **Raises** `ValueError` with the field and its value, for other kinds of tokenizers.
    """
    try:
        _check_kind(described)
        special = [one for one in described["added_tokens"] if one["special"]]
        plain = [one for one in described["added_tokens"] if not one["special"]]
        _check_added(plain)
        begins = _begins(described) if adds_bos is None else adds_bos
        first = _first_token({s["content"]: s["id"] for s in special}, bos, begins)
        model = described["model"] | {"unk_token": None, "dropout": None}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"tokenizer.json is damaged: {error!r}.") from error
    kept = {
        "version": "1.0",
        "added_tokens": described["added_tokens"],
        "pre_tokenizer": described["pre_tokenizer"],
        "model": model,
    }
    definition = {
        "vocab": vocab,
        "bos": first,
        "special": sorted(one["id"] for one in special),
        "tokenizer": kept,
    }
    text = json.dumps(definition, ensure_ascii=False)
    tokenizers.PretrainedTokenizer("new", text)  # refuses what cannot be used
    return text, first


def from_gguf(
    entries: Sequence[str],
    kinds: Sequence[int],
    merges: Sequence[str],
    cut: str,
    **knobs,
) -> tuple[str, int]:
    """The same from GGUF's lists; `cut` is its `tokenizer.ggml.pre`.

    `kinds`: 1 = an ordinary entry, 3 = special, 4 = a word taken as it is.

    **Raises** `ValueError` with the field and its value.
    """
    if cut not in CUTS:
        raise ValueError(
            f"tokenizer.ggml.pre is {cut!r}, which is not supported; supported: "
            f"{', '.join(CUTS)}."
        )
    plain = {
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
    }
    added = [
        {"id": i, "content": entries[i], "special": kind == 3, **plain}
        for i, kind in enumerate(kinds)
        if kind in (3, 4)
    ]
    model = {
        "type": "BPE",
        "ignore_merges": cut in WHOLE_WORDS,
        "vocab": {entry: i for i, entry in enumerate(entries)},
        "merges": list(merges),
    }
    described = {
        "added_tokens": added,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": CUTS[cut]},
        "model": model,
    }
    return from_json(described, vocab=len(entries), **knobs)


def _first_token(special: dict[str, int], bos: int | None, begins: bool) -> int:
    """The token behind which texts begin: `bos` if the tokenizer puts it there."""
    if bos is not None and (begins or END not in special):
        return bos
    if END in special:
        return special[END]
    raise ValueError(
        "bos_token_id is None, and there is no <|endoftext|>: nothing is known to "
        "start a text."
    )


def _begins(described: Mapping) -> bool:
    """Whether the post-processor puts a special token in front of a text."""
    for one in _flat(described.get("post_processor"), "processors"):
        if one["type"] == "TemplateProcessing" and one["single"]:
            return "SpecialToken" in one["single"][0]
    return False


def _check_kind(described: Mapping):
    """Refuse tokenizers that are not byte-level BPE."""
    model = described["model"]
    only = {"type": "BPE", "byte_fallback": False}
    only |= dict.fromkeys(("continuing_subword_prefix", "end_of_word_suffix"))
    for field, value in only.items():
        if (model.get(field, value) or None) != (value or None):
            raise ValueError(
                f"model.{field} in tokenizer.json is {model[field]!r}, which is not "
                f"supported: byte-level BPE has {value!r}."
            )
    for one in _flat(described.get("normalizer"), "normalizers"):
        _check_step("normalizer", one, {"NFC": {}})
    steps = list(_flat(described.get("pre_tokenizer"), "pretokenizers"))
    known = {
        "ByteLevel": {"add_prefix_space": False},
        "Digits": {},
        "Split": {"behavior": ("Isolated", "MergedWithPrevious", "MergedWithNext")},
    }
    for one in steps:
        _check_step("pre_tokenizer", one, known)
    if not any(one["type"] == "ByteLevel" for one in steps):
        raise ValueError(
            "pre_tokenizer in tokenizer.json has no ByteLevel, which is not supported: "
            "only byte-level BPE keeps every byte of a text."
        )


def _check_step(field: str, step: Mapping, known: Mapping[str, Mapping]):
    if step["type"] not in known:
        raise ValueError(
            f"{field} in tokenizer.json is {step['type']!r}, which is not supported; "
            f"supported: {', '.join(known)}."
        )
    for name, wanted in known[step["type"]].items():
        if step[name] not in (wanted if isinstance(wanted, tuple) else (wanted,)):
            raise ValueError(
                f"{field}.{name} in tokenizer.json is {step[name]!r}, which is not "
                f"supported: it changes the text's bytes."
            )


def _check_added(plain: Sequence[Mapping]):
    for one in plain:
        for flag in ("lstrip", "rstrip"):
            if one.get(flag):
                raise ValueError(
                    f"the added token {one['content']!r} in tokenizer.json has {flag}, "
                    "which is not supported: it swallows bytes of the text."
                )


def _flat(step: Mapping | None, inside: str) -> Iterator[Mapping]:
    """The steps of a sequence, or the one step, or none."""
    if step is None:
        return
    if step["type"] == "Sequence":
        for one in step[inside]:
            yield from _flat(one, inside)
    else:
        yield step
