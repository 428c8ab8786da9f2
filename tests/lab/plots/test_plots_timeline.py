"""The course's two pictures of time: nothing is seen too early, or across documents."""

import numpy as np

from lab.plots import timeline


SIZES = dict(documents=2, tokens=24, chunk=8, window=12)


def test_no_token_sees_itself_the_future_or_another_document():
    seen = timeline.seen(**SIZES)
    assert not np.triu(seen).any()
    assert not seen[24:, :24].any()


def test_weights_hold_whole_chunks_and_the_window_slides():
    seen = timeline.seen(**SIZES)
    assert (seen[8, :8] == timeline.BOTH).all()  # the first token of chunk 2
    assert (seen[7, :7] == timeline.WINDOW).all()  # the last of chunk 1
    assert seen[23].tolist()[:24] == [2] * 11 + [3] * 5 + [1] * 7 + [0]


def test_the_pictures_are_drawn_with_chunks_from_one():
    fig = timeline.sizes(batch=3, seq=32, chunk=8, window=12)
    assert [bar.text for bar in fig.data[:4]] == [f"chunk {i}" for i in range(1, 5)]
    assert timeline.who_sees(**SIZES).data[0].z.shape == (48, 48)
