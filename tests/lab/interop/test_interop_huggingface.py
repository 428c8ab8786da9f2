"""Models in the layout of Hugging Face: their own logits, and clear refusals."""

from pathlib import Path

import jax
import numpy as np
import pytest

from lab.interop import huggingface
from ttt_core.model import compute_logits, run_slow


GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(path.parent.name for path in GOLDEN.glob("*/config.json"))


@pytest.fixture(scope="module")
def expected():
    with np.load(GOLDEN / "expected.npz") as file:
        return dict(file)


@jax.jit
def logits_of(model, tokens):
    return compute_logits(model, run_slow(model, tokens, None)[0])


@pytest.mark.parametrize("name", CASES)
def test_logits_are_those_of_transformers(name, expected):
    model = huggingface.load(GOLDEN / name)
    found = logits_of(model, expected[f"{name}.tokens"].astype(np.int32))
    np.testing.assert_allclose(found, expected[f"{name}.logits"], rtol=0, atol=1e-4)
