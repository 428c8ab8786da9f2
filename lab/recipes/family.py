"""The family: the eight systems that the paper compares, at the size we ship."""

EIGHT = (
    "tiny-e2e",
    "tiny-full",
    "tiny-swa",
    "tiny-hybrid",
    "tiny-mamba2",
    "tiny-gdn",
    "tiny-kvb",
    "tiny-naive",
)
