"""TTT-E2E: a Transformer that learns while it reads. The public door.

Start reading in `ttt_core/inner.py`: the paper's one equation is `inner_step`.
"""

from ttt_core.config import InnerConfig as InnerConfig
from ttt_core.config import ModelConfig as ModelConfig
from ttt_core.decode import generate as generate
from ttt_core.fast import drift as drift
from ttt_core.fast import fast_mlps as fast_mlps
from ttt_core.fast import global_norm as global_norm
from ttt_core.fast import merge as merge
from ttt_core.fast import split as split
from ttt_core.fast import without_learning as without_learning
from ttt_core.inner import Chunk as Chunk
from ttt_core.inner import Learner as Learner
from ttt_core.inner import Report as Report
from ttt_core.inner import adapt as adapt
from ttt_core.inner import inner_step as inner_step
from ttt_core.many import nll_under as nll_under
from ttt_core.many import score_many as score_many
from ttt_core.meta import apply_gradient as apply_gradient
from ttt_core.meta import meta_gradient as meta_gradient
from ttt_core.meta import meta_loss as meta_loss
from ttt_core.meta import meta_step as meta_step
from ttt_core.model import Transformer as Transformer
from ttt_core.presets import PRESETS as PRESETS
from ttt_core.presets import preset as preset
from ttt_core.stream import StreamState as StreamState
from ttt_core.stream import init_state as init_state
from ttt_core.stream import predict as predict
from ttt_core.stream import read as read
from ttt_core.stream import read_chunk as read_chunk
from ttt_core.stream import score as score
from ttt_core.warm_start import with_fast_weights as with_fast_weights
