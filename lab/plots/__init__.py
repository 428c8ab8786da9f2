"""Data in, `plotly` figure out: one theme for the explorer and the notebooks.

Nothing here computes a result: numbers come from traces, evals and analyses.

    >>> from lab import plots, traces
    >>> plots.gain(traces.load("reading.npz")).show()          # doctest: +SKIP
"""

from lab.plots.access import five_questions as five_questions
from lab.plots.agreement import gradient_parts as gradient_parts
from lab.plots.anatomy import loss_by_rate as loss_by_rate
from lab.plots.anatomy import moved_by_block as moved_by_block
from lab.plots.anatomy import moved_by_time as moved_by_time
from lab.plots.anatomy import path_of_weights as path_of_weights
from lab.plots.anatomy import rank_by_time as rank_by_time
from lab.plots.anatomy import singular_values as singular_values
from lab.plots.attention import looks_by_distance as looks_by_distance
from lab.plots.bench import reading_cost as reading_cost
from lab.plots.bench import writing_cost as writing_cost
from lab.plots.beside import side_by_side as side_by_side
from lab.plots.breaking import drift_when_broken as drift_when_broken
from lab.plots.breaking import held_back_when_broken as held_back_when_broken
from lab.plots.breaking import loss_when_broken as loss_when_broken
from lab.plots.ceiling import gain_below_the_ceiling as gain_below_the_ceiling
from lab.plots.coarse import coarse as coarse
from lab.plots.coarse import together as together
from lab.plots.compare import gap_by_position as gap_by_position
from lab.plots.compare import loss_by_position as loss_by_position
from lab.plots.context import gap_by_context as gap_by_context
from lab.plots.context import loss_by_context as loss_by_context
from lab.plots.curves import drift as drift
from lab.plots.curves import gain as gain
from lab.plots.curves import gradients as gradients
from lab.plots.curves import loss_per_chunk as loss_per_chunk
from lab.plots.curves import overview as overview
from lab.plots.decompose import decomposition as decomposition
from lab.plots.decompose import parts_by_position as parts_by_position
from lab.plots.directions import scores_of_directions as scores_of_directions
from lab.plots.directions import words_of_directions as words_of_directions
from lab.plots.forgetting import nats_by_distance_read_on as nats_by_distance_read_on
from lab.plots.forgetting import worth_of_memories as worth_of_memories
from lab.plots.grid import needle_grid as needle_grid
from lab.plots.influence import estimate_against_exact as estimate_against_exact
from lab.plots.influence import influence_by_distance as influence_by_distance
from lab.plots.influence import map_of_influence as map_of_influence
from lab.plots.influence import taught_text as taught_text
from lab.plots.influence import who_taught as who_taught
from lab.plots.interference import interference_matrix as interference_matrix
from lab.plots.interference import remedies_side_by_side as remedies_side_by_side
from lab.plots.needles import exact_by_depth as exact_by_depth
from lab.plots.needles import nats_by_depth as nats_by_depth
from lab.plots.needles import several_at_once as several_at_once
from lab.plots.paper import reported_curves as reported_curves
from lab.plots.recall import first_choice_by_distance as first_choice_by_distance
from lab.plots.recall import nats_by_distance as nats_by_distance
from lab.plots.recall import whole_answers_by_distance as whole_answers_by_distance
from lab.plots.results import result_figure as result_figure
from lab.plots.results import result_figures as result_figures
from lab.plots.retention import memory_by_age as memory_by_age
from lab.plots.retention import memory_map as memory_map
from lab.plots.strength import saved_by_strength as saved_by_strength
from lab.plots.text import coloured_text as coloured_text
from lab.plots.toy import gain_by_index as gain_by_index
from lab.plots.toy import loss_by_index as loss_by_index
from lab.plots.training import drift_over_training as drift_over_training
from lab.plots.training import gain_over_training as gain_over_training
from lab.plots.training import outer_loss as outer_loss
from lab.plots.tune_inner import gain_by_inner_rate as gain_by_inner_rate
from lab.plots.words import gain_by_distance_back as gain_by_distance_back
from lab.plots.words import gain_by_kind as gain_by_kind
from lab.plots.words import gain_by_last_time as gain_by_last_time
from lab.plots.words import words_most_saved as words_most_saved


# This import comes last: `plots.recall` is the function, not the module of that name.
# isort: split
from lab.plots.needle import recall as recall
