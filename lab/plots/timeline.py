"""The course: sequence, chunk, batch, window, and what each token sees of the text.

Both pictures are drawn from sizes alone. Blue is in the weights, orange is in the
window of attention, pink is in both.
"""

import numpy as np
import plotly.graph_objects as go

from lab.plots import theme


NOTHING, WINDOW, WEIGHTS, BOTH = range(4)
SEEN = ("nothing", "window", "weights", "both")
COLOURS = ("rgba(128, 136, 148, 0.08)", theme.FROZEN, theme.LEARNING, theme.SUMMARY)


def sizes(*, batch: int, seq: int, chunk: int, window: int) -> go.Figure:
    """Sequences of a batch, one above the other, cut into chunks, with one window.

    The window is drawn for the last token.
    """
    chunks = [
        go.Bar(
            y=[f"sequence {row}" for row in range(1, batch + 1)],
            x=[min(chunk, seq - start)] * batch,
            base=start,
            orientation="h",
            marker=dict(color=theme.pale(theme.LEARNING), line_color=theme.LEARNING),
            text=f"chunk {start // chunk + 1}",
            insidetextanchor="middle",
            showlegend=False,
            hoverinfo="skip",
        )
        for start in range(0, seq, chunk)
    ]
    reach = go.Bar(
        y=["window of one token"],
        x=[min(window, seq)],
        base=max(0, seq - window),
        orientation="h",
        marker_color=theme.FROZEN,
        text=f"{window} tokens, the last one included",
        showlegend=False,
        hoverinfo="skip",
    )
    title = f"A batch of {batch}: {seq} tokens each, chunks of {chunk}"
    fig = theme.figure([*chunks, reach], title=title, y="", x="token", height=300)
    fig.update_layout(barmode="overlay", bargap=0.35)
    return fig.update_yaxes(autorange="reversed", title=None)


def seen(*, documents: int, tokens: int, chunk: int, window: int) -> np.ndarray:
    """What one block sees of each earlier token, `[predicted, read]`, as codes.

    The last `window` inputs before a token are seen by attention, whole earlier chunks
    of its document through the weights, and nothing of another document.
    """
    place = np.arange(documents * tokens)
    of, at = np.divmod(place, tokens)  # [predicted] each
    same = of[:, None] == of[None]  # [predicted, read]
    back = at[:, None] - at[None]  # [predicted, read]
    near = same & (back >= 1) & (back <= window)
    learned = same & (at[:, None] // chunk > at[None] // chunk)
    return WINDOW * near + WEIGHTS * learned


def who_sees(*, documents: int, tokens: int, chunk: int, window: int) -> go.Figure:
    """`seen` as a map; dotted lines are inner steps, full lines are resets."""
    knobs = dict(documents=documents, tokens=tokens, chunk=chunk, window=window)
    codes, all_of_them = seen(**knobs), documents * tokens
    steps = [(i / 4, c) for j, c in enumerate(COLOURS) for i in (j, j + 1)]
    tokens_read = np.arange(1, all_of_them + 1)
    bar = dict(tickvals=np.arange(4), ticktext=SEEN, title="sees it in")
    map_ = go.Heatmap(
        x=tokens_read,
        y=tokens_read,
        z=codes,
        zmin=-0.5,
        zmax=3.5,
        colorscale=steps,
        colorbar=bar,
        hovertemplate="token %{y} of token %{x}<extra></extra>",
    )
    title = "What does each token see? (one block)"
    fig = theme.figure([map_], title=title, y="token predicted", x="token read")
    fig.update_layout(height=420, hovermode="closest")
    for end in range(chunk, all_of_them, chunk):
        reset = end % tokens == 0
        fig.add_hline(
            end + 0.5, line_dash="solid" if reset else "dot", line_color=theme.INK
        )
    return fig.update_yaxes(autorange="reversed")
