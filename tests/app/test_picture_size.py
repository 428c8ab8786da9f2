"""A picture late in a long reading is no larger and no dearer than one early on.

`pytest -s tests/app/test_picture_size.py` prints the milliseconds of processor time.
"""

import time

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from synthetic_trace import synthetic


MOST = 150_000  # bytes of a picture with its three panels


@pytest.fixture(autouse=True)
def fresh():
    st.cache_resource.clear()
    yield
    st.cache_resource.clear()


def page(trace):
    from app import session
    from app.panels import charts, text
    from app.player import Player

    session.begin()
    player = Player(trace, None)
    text.panel(player)
    charts.gain(player)
    charts.recall(player)


def bytes_of(app: AppTest) -> int:
    assert not app.exception, app.exception
    charts = sum(len(chart.proto.spec) for chart in app.get("plotly_chart"))
    return charts + sum(len(one.proto.body) for one in app.get("html"))


@pytest.mark.parametrize("chunks", [100, 4_000])
def test_a_picture_has_a_bounded_size(chunks):
    trace = synthetic(chunks=chunks, tail=0)
    app = AppTest.from_function(page, args=(trace,), default_timeout=60).run()
    assert 20_000 < bytes_of(app) < MOST


def test_a_picture_late_in_a_reading_costs_what_an_early_one_does():
    early, late = (milliseconds(chunks) for chunks in (100, 4_000))
    print(f"a picture: {early:.0f} ms at chunk 100, {late:.0f} ms at chunk 4,000")
    assert late < 3 * early


def milliseconds(chunks: int) -> float:
    """Processor time of a picture, the least of five."""
    args = (synthetic(chunks=chunks, tail=0),)
    app = AppTest.from_function(page, args=args, default_timeout=60).run()
    took = []
    for _ in range(5):
        before = time.process_time()
        app.run()
        took.append(1e3 * (time.process_time() - before))
    return min(took)
