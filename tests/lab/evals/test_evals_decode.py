"""`ttt-lab eval decode`: who writes, who judges, and what is compared with what."""

import command_line
import jax
import numpy as np
import pytest

import ttt_core as ttt
from lab import checkpoints, plots, results
from lab.data import tokenizers
from lab.evals import decode, in_words
from lab.evals.decode import Drawn, Judge, Place, Writer
from lab.measure.intervals import interval
from lab.measure.parts import Kept


WORDS = tokenizers.load("bytes")
TEXT = "the fog had come in from a river. And it stayed, over harbor and city. "
PLACES = [
    Place("one", TEXT, TEXT[::-1]),
    Place("two", TEXT[10:], TEXT[:40]),
    Place("three", TEXT[20:], TEXT),
]


@pytest.fixture(scope="module")
def judge(nano):
    return Judge("judge", ttt.without_learning(nano), WORDS)


@pytest.fixture(scope="module")
def writers(nano):
    frozen = ttt.without_learning(nano)
    return [Writer("m", nano, WORDS), Writer("m, frozen", frozen, WORDS)]


@pytest.fixture(scope="module")
def measured(writers, judge):
    return decode.measure(writers, judge, PLACES)


def ids(text):
    return np.array(WORDS.encode(text), np.int32)


def test_the_judge_pays_for_what_goes_on_given_what_stood_before(judge, measured):
    _, real, _ = measured
    model = judge.model
    for place, nats in zip(PLACES, real.nats, strict=True):
        state, _ = ttt.read(model, ttt.init_state(model), ids(place.before))
        told = ttt.score(model, state, [], ids(place.after))
        assert nats == pytest.approx(float(np.sum(told)) / len(place.after), abs=1e-5)


def test_both_twins_write_as_much_as_they_read_with_the_same_numbers(writers, judge):
    found = {}
    for place in PLACES[:1]:
        found = dict(decode._said(writers, place, Drawn(), lambda make, *_: make()))
    assert list(found) == [decode.REAL, "m", "m, frozen"]
    key, prompt = jax.random.key(0), ids(TEXT)
    for one in writers:
        dials = dict(temperature=1.0, top_p=0.95, repetition_penalty=1.1)
        state = ttt.init_state(one.model)
        tokens, _ = ttt.generate(
            one.model, state, prompt, len(prompt), key=key, **dials
        )
        assert found[one.label] == WORDS.decode(np.asarray(tokens).tolist())
    assert found["m"] != found["m, frozen"], "the learner has learned in between"


def test_who_stops_learning_has_learned_from_the_text_before_and_no_more(writers):
    from lab.reading.writing import write

    (learner, _), prompt = writers, ids(TEXT)
    plain = Drawn(repetition_penalty=1.0)
    (tokens,) = decode._write(learner.model, prompt, plain, True)
    state, _ = ttt.read(learner.model, ttt.init_state(learner.model), prompt)
    still = dict(learns=False, seed=0, temperature=1.0, top_p=0.95)
    pieces = write(learner.model, state, WORDS, [], len(prompt), **still)
    assert "".join(pieces) == WORDS.decode(tokens.tolist())
    (whole,) = decode._write(learner.model, prompt, plain, False)
    assert tokens.tolist() != whole.tolist()


def test_nats_are_per_byte_whatever_the_judges_tokens():
    two_bytes = type("Words", (), {"lengths": np.array([2, 1])})
    fake = type("Judge", (), {"tokenizer": two_bytes})
    found = [("abc", np.array([0, 1]), np.array([3.0, 6.0]))]
    judged = decode._judged("x", found, fake)
    assert judged.nats == (3.0,)  # nine nats for three bytes
    along = [one.mean for one in judged.along]
    assert along[0] == 1.5 and along[5] == 6.0 and np.isnan(along[1])


def test_repetition_is_seen():
    loop, fresh = np.tile(np.arange(4), 10), np.arange(40)
    assert decode.repeated(fresh) == 0 and decode.repeated(fresh[:3]) == 0
    assert decode.repeated(loop) == pytest.approx(1 - 4 / 37)


def made(**nats):
    """A result with given nats by document."""
    row = lambda label, values: decode.Judged(
        label=label,
        nats=tuple(values),
        repeated=(0.1,) * len(values),
        distinct=(0.5,) * len(values),
        along=(interval(values),) * decode.PARTS,
        begins="It was",
    )
    rows = tuple(row(label.replace("_", ", "), v) for label, v in nats.items())
    return decode.Decode(
        documents=("a", "b", "c"),
        tokens=64,
        drawn=Drawn(),
        judge="smollm2",
        judge_sha256="s",
        systems={},
        before=(interval([1.0, 2.0]),) * decode.PARTS,
        real=row(decode.REAL, [1.0, 2.0, 3.0]),
        rows=rows,
    )


def test_differences_are_paired_over_documents():
    result = made(m=[2.0, 3.0, 4.0], m_frozen=[2.1, 3.2, 4.3])
    assert result.over("m", decode.REAL).mean == 1 and result.over("m", "m").half == 0
    gap = result.over("m, frozen", "m")
    assert gap.mean == pytest.approx(0.2) and gap.novels == 3 and gap.half < 0.3
    said = in_words.headline(result)
    assert "What m writes costs smollm2 0.200" in said and "10.0%" in said
    assert said == in_words.against(result, "m, frozen", "m")
    alike = made(m=[2.0, 3.0, 4.0], m_frozen=[2.1, 3.2, 3.6])
    assert "no difference is shown" in in_words.headline(alike)
    assert in_words.labels(result) == ["m", "m, frozen", decode.REAL]


def test_it_goes_through_a_file_and_figures_draw_it(measured):
    result = made(m=[2.0, 3.0, 4.0], m_frozen=[2.1, 3.2, 4.3])
    data = results.to_json(result)
    assert results.to_json(results.open_result(data, decode.Decode)) == data
    drawn = plots.result_figures("decode", result)
    assert list(drawn) == ["along", "over", "repeats"]
    names = [line.name for line in drawn["along"].data]
    assert names == ["the text before", "m", "m, frozen", decode.REAL]
    assert max(drawn["along"].data[0].x) < 0 < min(drawn["along"].data[1].x)
    assert list(drawn["over"].data[0].y) == pytest.approx([1.0, 1.2])
    only = plots.result_figure("decode", result, "repeats", only=("m",))
    assert [line.name for line in only.data] == ["m"]


def test_what_is_kept_is_neither_written_nor_judged_again(
    writers, judge, measured, monkeypatch
):
    kept = {}

    def keep(measure, *key):
        name = tuple(np.asarray(part).tobytes() for part in key)
        if name not in kept:
            kept[name] = measure()
        return kept[name]

    as_data = lambda found: [results.to_json(one) for one in (found[1], *found[2])]
    first = as_data(decode.measure(writers, judge, PLACES, keep=keep))
    monkeypatch.setattr(decode, "_write", lambda *_: pytest.fail("written again"))
    monkeypatch.setattr(Judge, "_read", lambda *_: pytest.fail("judged again"))
    again = as_data(decode.measure(writers, judge, PLACES, keep=keep))
    assert again == first == as_data(measured)


def test_a_text_that_the_judge_has_no_room_for_is_named(judge):
    small = Judge("judge", judge.model, WORDS, limit=100)
    with pytest.raises(ValueError, match="text of one has 142 of them: use a smaller"):
        small.check(PLACES)
    found, nll = small.then(TEXT, TEXT)
    assert len(found) == len(nll) == 100 - len(TEXT)


@pytest.fixture
def two_models(nano, tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "my.txt").write_text(TEXT * 8, encoding="utf-8")
    paths = []
    for name in ("small", "other"):
        moved = jax.tree.map(lambda a: a + 0.01, ttt.without_learning(nano))
        model = nano if name == "small" else moved
        card = {"tokenizer": "bytes", "name": name}
        paths.append(checkpoints.save(tmp_path / name, model, card).with_suffix(""))
    return *map(str, paths), str(tmp_path / "my.txt")


def test_the_command_writes_judges_keeps_and_shows(
    two_models, tmp_path, monkeypatch, capsys
):
    small, other, text = two_models
    said = ["eval", "decode", small, "--judge", other, "--documents", text]
    assert command_line.run(monkeypatch, *said, "--tokens", "64") == 0
    out = capsys.readouterr().out
    assert "the document itself" in out and "repeated" in out
    assert "One document gives no interval" in out and "small, frozen: " in out
    kept = tmp_path / "runs/evals/decode-small.json"
    found = results.open_result(kept, decode.Decode)
    labels = ["small", "small, not from itself", "small, frozen"]
    assert [row.label for row in found.rows] == labels
    assert found.judge == "other" and found.documents == (text,)


def test_a_stopped_command_goes_on_to_the_same_numbers(
    two_models, tmp_path, monkeypatch, capsys
):
    small, other, text = two_models
    said = ["eval", "decode", small, "--judge", other, "--documents", text]
    words, path = [*said, "--tokens", "64"], "runs/evals/decode-small.json"
    assert command_line.run(monkeypatch, *words) == 0
    whole = results.open_result(tmp_path / path, decode.Decode)
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "again"))
    store, stored = Kept._store, []

    def stopping(self, path, found):
        store(self, path, found)
        stored.append(path)
        if len(stored) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Kept, "_store", stopping)
        capsys.readouterr()
        assert command_line.run(monkeypatch, *words) == 130
    assert "the same command goes on from there" in capsys.readouterr().err
    assert not (tmp_path / "again/evals").exists()
    assert command_line.run(monkeypatch, *words) == 0
    kept = tmp_path / "again/evals/decode-small.json"
    assert results.open_result(kept, decode.Decode) == whole


def test_a_folder_gives_as_many_documents_as_are_asked_for(
    two_models, tmp_path, monkeypatch, capsys
):
    small, other, _ = two_models
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "prepared"))
    (tmp_path / "texts").mkdir()
    for i in range(3):
        (tmp_path / f"texts/{i}.txt").write_text(f"{i} {TEXT * 8}", encoding="utf-8")
    said = ["eval", "decode", small, "--judge", other, "--tokens", "64"]
    more = ["--documents", str(tmp_path / "texts"), "--novels", "2"]
    assert command_line.run(monkeypatch, *said, *more) == 0
    kept = tmp_path / "runs/evals/decode-small.json"
    assert len(results.open_result(kept, decode.Decode).documents) == 2
    assert "2 documents" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--judge", "small"], "would judge what it wrote itself"),
        (["--judge", "tiny-swan"], "There is no model 'tiny-swan'"),
        (["--tokens", "4000"], "has 568 tokens, and 8,000 are needed"),
        (["--tokens", "0"], "--tokens must be at least 1: got 0"),
        (["--seed", "-1"], "--seed must be >= 0"),
        (["--top-p", "0"], "--top-p must be > 0"),
    ],
)
def test_what_cannot_be_is_a_sentence(two_models, words, said, monkeypatch, capsys):
    small, other, text = two_models
    words = [small if word == "small" else word for word in words]
    judged = [] if "--judge" in words else ["--judge", other]
    command = ["eval", "decode", small, "--documents", text, *judged, *words]
    assert command_line.run(monkeypatch, *command) == 1
    assert said in capsys.readouterr().err


def test_without_its_judge_a_sentence_says_how_to_get_it(
    two_models, tmp_path, monkeypatch, capsys
):
    small, _, text = two_models
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "empty"))
    command = ["eval", "decode", small, "--documents", text]
    assert command_line.run(monkeypatch, *command) == 1
    assert "`ttt-lab model add smollm2` fetches it" in capsys.readouterr().err
