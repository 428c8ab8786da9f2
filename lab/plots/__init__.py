"""Data in, `plotly` figure out: one theme for the explorer and the notebooks.

Nothing here computes a result: numbers come from traces, evals and analysis.

    >>> from lab import plots, traces
    >>> plots.gain(traces.load("reading.npz")).show()          # doctest: +SKIP
"""

from lab.plots.curves import drift as drift
from lab.plots.curves import gain as gain
from lab.plots.curves import loss_per_chunk as loss_per_chunk
from lab.plots.curves import overview as overview
from lab.plots.recall import recall as recall
from lab.plots.results import gain_by_position as gain_by_position
from lab.plots.text import coloured_text as coloured_text
