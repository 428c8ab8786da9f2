"""What the memory is worth, taken from none to one and a half times."""

import plotly.graph_objects as go

from lab.plots import theme


LOOKS = {
    "read": theme.Look(theme.LEARNING, "circle"),
    "unread": theme.Look(theme.SUMMARY, "diamond", "dash"),
    "unrelated": theme.Look(theme.FROZEN, "square", "dot"),
}
NAMES = {
    "read": "passages that were read",
    "unread": "the text goes on, not read",
    "unrelated": "another text",
}


def saved_by_strength(result, *, alpha: float | None = None) -> go.Figure:
    """Nats a token saved at each alpha, by kind of passage; bands are 95 %.

    `alpha`: one to mark.
    """
    data = []
    for kind, found in result.passages.items():
        look = LOOKS[kind]
        mean = [one.mean for one in found.saved]
        ends = ([getattr(one, end) for one in found.saved] for end in ("low", "high"))
        data.append(theme.band(list(result.alphas), *ends, look.colour))
        data.append(
            theme.line(
                list(result.alphas),
                mean,
                NAMES[kind],
                look.colour,
                mode="lines+markers",
                marker=dict(symbol=look.symbol, size=7),
                line=dict(dash=look.dash, width=2),
                hovertemplate="%{y:+.3f}",
            )
        )
    marks = [theme.mark(1.0)]
    if alpha is not None:
        marks.append(theme.mark(alpha, theme.SUMMARY, dash="solid"))
    fig = theme.tall(
        data,
        title="What the memory saves, by how much of it is taken",
        y="nats a token saved, empty window",
        x="alpha: how many times the change is added (1 = as learned)",
        hovermode="x unified",
        shapes=marks,
    )
    return fig.add_hline(y=0, line_width=1, line_color=theme.INK)
