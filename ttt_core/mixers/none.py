"""No mixer at all: a block of MLPs, whose tokens do not see each other (the toy)."""

from ttt_core.mixers.kind import Kind


NONE = Kind(
    name="none",
    title="no mixer",
    build=None,
    check=lambda config: None,
    least={},
    reach=lambda config: 0,
    weights=lambda config: 0,
    flops=lambda config, tokens: 0,
    inner_flops=lambda config, tokens: 0,
    cuts={},
)
