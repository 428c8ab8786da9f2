"""Models on the shelf: one for all, made in turn, taken from nobody."""

import gc
import threading
import time

import pytest

from app import shelf as shelves
from app.shelf import RECENT, Shelf


class Made:
    """Programs that take a moment to make and note who was at it at the same time."""

    began: list[str]
    at_work: list[str]
    together = 0

    def __init__(self, name, changes=None):
        self.name, self.error, self.finished = name, None, False

    def wait(self, stage):
        Made.began.append(self.name)
        Made.at_work.append(self.name)
        Made.together = max(Made.together, len(Made.at_work))
        time.sleep(0.02)
        Made.at_work.remove(self.name)
        self.finished = True
        if self.name == "broken":
            self.error = "cannot be opened"
            raise ValueError(self.error)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    Made.began, Made.at_work, Made.together = [], [], 0
    monkeypatch.setattr(shelves, "Programs", Made)


def finished(held, seconds=10):
    end = time.monotonic() + seconds
    while not all(programs.finished for programs in held):
        assert time.monotonic() < end, Made.began
        time.sleep(0.01)


def test_many_visitors_of_three_models_make_three_one_after_the_other():
    shelf, held = Shelf(), []

    def visit(model):
        held.append(shelf.programs(model))
        for _ in range(5):
            shelf.order(model, now=True)
            time.sleep(0.005)

    visitors = [threading.Thread(target=visit, args=(m,)) for m in "abc" * 7]
    for one in visitors:
        one.start()
    for one in visitors:
        one.join()
    finished(held)
    assert sorted(Made.began) == ["a", "b", "c"] and Made.together == 1
    assert len({id(programs) for programs in held}) == 3


def test_what_a_visitor_holds_stays_and_the_rest_goes():
    shelf = Shelf()
    held = shelf.programs("a")
    for model in "bcdefg":
        shelf.programs(model)
    gc.collect()
    assert shelf.programs("a") is held
    assert len(shelf.models) <= 1 + RECENT


def test_whoever_waits_comes_before_whoever_may_want():
    shelf = Shelf()
    held = [shelf.programs(model) for model in "abc"]
    shelf.order("a", now=False, after=0.05)
    shelf.order("b", now=False)
    shelf.order("c", now=True)
    finished(held)
    assert Made.began == ["c", "a", "b"]


def test_an_order_leaves_with_its_visitor():
    shelf = Shelf()
    gone = shelf.programs("gone")
    shelf.order("gone", now=True, after=0.05)
    del gone
    held = [shelf.programs(model) for model in "abc"]
    for model in "abc":
        shelf.order(model, now=True)
    gc.collect()
    finished(held)
    assert "gone" not in Made.began


def test_what_failed_is_tried_anew_when_it_is_asked_for_again():
    shelf = Shelf()
    held = shelf.programs("broken")
    shelf.order("broken", now=True)
    finished([held])
    assert shelf.programs("broken") is held
    shelf.forget("broken")
    assert shelf.programs("broken") is not held
