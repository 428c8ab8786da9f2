"""All figures of a result, from a file or just measured."""

import plotly.graph_objects as go

from lab import results
from lab.analysis.access import Access
from lab.analysis.agreement import Agreements
from lab.analysis.anatomy import Anatomy
from lab.analysis.attention import Attention
from lab.analysis.ceiling import Ceiling
from lab.analysis.directions import Directions
from lab.analysis.forgetting import Forgetting
from lab.analysis.influence import Influence
from lab.analysis.interference import Interference
from lab.analysis.retention import Retention
from lab.analysis.strength import Strength
from lab.analysis.words import Words
from lab.bench.reading import ReadingBench
from lab.bench.speed import SpeedBench
from lab.evals.ablation import ChunkAblation, LayersAblation, WindowAblation
from lab.evals.compare import Comparison
from lab.evals.compute import Compute
from lab.evals.context import Contexts
from lab.evals.decode import Decode
from lab.evals.decompose import Decomposition
from lab.evals.latency import Latency
from lab.evals.needles import Needles
from lab.evals.recall import Recall
from lab.evals.route import Route
from lab.evals.rules import Rules
from lab.evals.toy import Toy
from lab.evals.tune_inner import Tuning
from lab.plots.ablation import (
    gain_by_setting,
    loss_by_setting,
    saved_against_usual,
)
from lab.plots.access import five_questions
from lab.plots.agreement import gradient_parts
from lab.plots.anatomy import (
    loss_by_rate,
    moved_by_block,
    moved_by_time,
    path_of_weights,
    rank_by_time,
    singular_values,
)
from lab.plots.attention import looks_by_distance
from lab.plots.bench import reading_cost, speed_shares, writing_cost
from lab.plots.ceiling import gain_below_the_ceiling
from lab.plots.compare import gap_by_position, loss_by_position
from lab.plots.compute import gain_by_size, gain_by_tokens, loss_by_compute
from lab.plots.context import gap_by_context, loss_by_context
from lab.plots.decode import (
    nats_along_the_writing,
    nats_by_repetition,
    over_the_real_text,
)
from lab.plots.decompose import decomposition, parts_by_position
from lab.plots.directions import scores_of_directions, words_of_directions
from lab.plots.forgetting import nats_by_distance_read_on, worth_of_memories
from lab.plots.influence import (
    estimate_against_exact,
    influence_by_distance,
    map_of_influence,
    who_taught,
)
from lab.plots.interference import interference_matrix, remedies_side_by_side
from lab.plots.latency import decode_cost, prompt_cost, training_cost
from lab.plots.needles import (
    exact_by_depth,
    found_by_distance_back,
    nats_by_depth,
    nats_by_distance_back,
    several_at_once,
)
from lab.plots.recall import (
    first_choice_by_distance,
    nats_by_distance,
    whole_answers_by_distance,
)
from lab.plots.retention import memory_by_age, memory_map
from lab.plots.route import (
    cost_of_a_question,
    found_by_distance_routed,
    nats_by_distance_routed,
    several_at_once_routed,
)
from lab.plots.rules import gain_by_rate_and_rule, gain_by_rule, gain_over_sgd
from lab.plots.strength import saved_by_strength
from lab.plots.toy import gain_by_index, loss_by_index
from lab.plots.tune_inner import gain_by_inner_rate
from lab.plots.words import (
    gain_by_distance_back,
    gain_by_kind,
    gain_by_last_time,
    words_most_saved,
)


ABLATED = {
    "loss": loss_by_setting,
    "gain": gain_by_setting,
    "usual": saved_against_usual,
}
# The figures of each type of result, by a short name.
FIGURES = {
    ChunkAblation: ABLATED,
    LayersAblation: ABLATED,
    WindowAblation: ABLATED,
    Compute: {"size": gain_by_size, "tokens": gain_by_tokens, "loss": loss_by_compute},
    Latency: {
        "prompt": prompt_cost,
        "writing": decode_cost,
        "training": training_cost,
    },
    Access: {"questions": five_questions},
    Agreements: {"parts": gradient_parts},
    Attention: {"distances": looks_by_distance},
    Ceiling: {"gain": gain_below_the_ceiling},
    Comparison: {"loss": loss_by_position, "gap": gap_by_position},
    Contexts: {"loss": loss_by_context, "gap": gap_by_context},
    Decode: {
        "along": nats_along_the_writing,
        "over": over_the_real_text,
        "repeats": nats_by_repetition,
    },
    Decomposition: {"bars": decomposition, "curves": parts_by_position},
    Forgetting: {"follows": nats_by_distance_read_on, "worth": worth_of_memories},
    Interference: {"matrix": interference_matrix, "remedies": remedies_side_by_side},
    Anatomy: {
        "moved": moved_by_time,
        "blocks": moved_by_block,
        "rank": rank_by_time,
        "values": singular_values,
        "path": path_of_weights,
        "rates": loss_by_rate,
    },
    Directions: {"scores": scores_of_directions, "words": words_of_directions},
    Influence: {
        "map": map_of_influence,
        "distance": influence_by_distance,
        "estimate": estimate_against_exact,
        "taught": who_taught,
    },
    ReadingBench: {"reading": reading_cost, "writing": writing_cost},
    Needles: {
        "distance": nats_by_distance_back,
        "found": found_by_distance_back,
        "exact": exact_by_depth,
        "nats": nats_by_depth,
        "several": several_at_once,
    },
    Recall: {
        "nats": nats_by_distance,
        "first": first_choice_by_distance,
        "whole": whole_answers_by_distance,
    },
    Strength: {"saved": saved_by_strength},
    Retention: {"map": memory_map, "ages": memory_by_age},
    Route: {
        "nats": nats_by_distance_routed,
        "found": found_by_distance_routed,
        "several": several_at_once_routed,
        "cost": cost_of_a_question,
    },
    Rules: {
        "over": gain_over_sgd,
        "gain": gain_by_rule,
        "rates": gain_by_rate_and_rule,
    },
    SpeedBench: {"shares": speed_shares},
    Toy: {"loss": loss_by_index, "gain": gain_by_index},
    Tuning: {"gain": gain_by_inner_rate},
    Words: {
        "kinds": gain_by_kind,
        "distance": gain_by_distance_back,
        "last": gain_by_last_time,
        "words": words_most_saved,
    },
}
TYPES = {kind.KIND: kind for kind in FIGURES}


def result_figures(kind: str, result) -> dict[str, go.Figure]:
    """All figures of a result by a short name; none for a kind without figures.

    `kind`: the command's name, such as "compare". `result`: the typed result, or its
    plain data from `lab.published.results`.
    """
    if kind not in TYPES:
        return {}
    if isinstance(result, dict):
        result = results.open_result(result, TYPES[kind])
    return {name: draw(result) for name, draw in FIGURES[TYPES[kind]].items()}


def result_figure(kind: str, result, part: str, **knobs) -> go.Figure:
    """One figure of a typed result, by its short name; `knobs` go to its function."""
    return FIGURES[TYPES[kind]][part](result, **knobs)
