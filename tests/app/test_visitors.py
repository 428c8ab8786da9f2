"""Twenty visitors at once: all read, each sees only its own, and leaving is the end."""

import asyncio
import html
import re
import time
from itertools import cycle

import pytest
from test_browser import address  # noqa: F401
from visitor import Visitor

from lab.data import documents


VISITORS, SECONDS = 20, 60
MODELS = ("nano", "nano-static", "nano-half")
SHARE = 25  # megabytes that a visitor may add to the server
LEAST = 5  # chunks that everybody reads in a minute, on a busy machine too


@pytest.mark.slow
def test_twenty_visitors_read_at_once(address):  # noqa: F811
    asyncio.run(twenty(address))


async def twenty(url):
    names = documents.names(prepared=True)[:VISITORS]
    visitors = [
        Visitor(url, f"doc={name}&model={model}", page="watch")
        for name, model in zip(names, cycle(MODELS), strict=False)
    ]
    began = time.monotonic()
    # The first of each model bring what all share: JAX, models, programs.
    await asyncio.gather(*map(begin, visitors[: len(MODELS)]))
    shared = await told(url, "Memory of this process")
    await asyncio.gather(*map(begin, visitors[len(MODELS) :]))
    print(f"all {VISITORS} read after {time.monotonic() - began:.0f} s")
    before = [visitor.chunk for visitor in visitors]
    until = time.monotonic() + SECONDS
    waits = await asyncio.gather(*(play(visitor, until) for visitor in visitors))
    read = [v.chunk - first for v, first in zip(visitors, before, strict=True)]
    print("chunks in a minute:", read, f"longest wait {max(waits):.1f} s")
    full = await told(url, "Memory of this process")
    largest = await told(url, "The largest of them")
    print(f"MB: {shared} with 3 visitors, {full} with {VISITORS}, largest {largest}")
    for visitor, name in zip(visitors, names, strict=True):
        sees_only(visitor, name)
    assert min(read) >= LEAST
    # Beside a model that never learns, one that learns reads along.
    along = [v for v in visitors if v.query.endswith("static")]
    assert await told(url, "Live readings in memory") == VISITORS + len(along)
    assert full - shared < (VISITORS - len(MODELS)) * SHARE
    await asyncio.gather(*(visitor.leave() for visitor in visitors))
    until = time.monotonic() + 60
    while await told(url, "Live readings in memory"):
        assert time.monotonic() < until, "readings outlive their visitors"
        await asyncio.sleep(2)


async def begin(visitor):
    """Arrive, press Start, and wait for the first chunk as the page does."""
    await visitor.arrive()
    await visitor.press("start")
    while not visitor.chunk:
        await asyncio.sleep(0.5)
        await visitor.drawn()


async def play(visitor, until):
    """Read on; the longest wait for a picture, in seconds."""
    longest = 0.0
    while (asked := time.monotonic()) < until:
        await visitor.drawn()
        longest = max(longest, time.monotonic() - asked)
        await asyncio.sleep(0.06)
    return longest


def sees_only(visitor, name):
    """The caption names the visitor's document, and the text shown is part of it."""
    said = re.sub(r"\\([^a-zA-Z0-9\s])", r"\1", "\n".join(visitor.texts))
    assert f"Live: {name}, read by" in said
    (shown,) = [text for text in visitor.texts if "white-space:pre-wrap" in text]
    words = html.unescape(re.sub("<[^>]*>", "", shown.split("<style>")[0]))
    assert len(words) > 200 and words in documents.load(name).text


async def told(url, name):
    """A number on the page of the machine's state."""
    page = await Visitor(url, page="machine").arrive()
    await page.leave()
    value = next(table[name] for table in page.tables if name in table)
    return float(re.sub(r"[^\d.]", "", value))
