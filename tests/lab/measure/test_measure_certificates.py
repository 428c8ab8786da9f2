"""Certificates: found by the hash of their model, the newest counts, damage is none."""

import dataclasses

import pytest

from lab import checkpoints, published
from lab.measure import certificates
from lab.measure.certificates import FAILED, NOT_APPLICABLE, PASSED, Certificate, Check


CHECKS = (
    Check("future", "tokens changed", PASSED, 0.0, "nats"),
    Check("order", "rates", NOT_APPLICABLE, why="takes no step on the text"),
    Check("possible", "values told", PASSED, 4.8, "nats ahead"),
)
ONE = Certificate(
    model="nano",
    model_hash="a" * 64,
    commit="0123456789ab",
    source="ba9876543210",
    device="cpu",
    made="2026-11-26T05:00:00+00:00",
    text="200 tokens of a novel",
    seed=0,
    seconds=1.5,
    checks=CHECKS,
)
BAD = dataclasses.replace(
    ONE,
    made="2026-11-27T05:00:00+00:00",
    checks=(*CHECKS, Check("batch", "rows", FAILED, 0.1, "nats", "0.1 nats apart")),
)


@pytest.fixture(autouse=True)
def folders(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(certificates, "PUBLISHED", tmp_path / "published")


def test_a_certificate_is_found_by_the_hash_of_its_model():
    assert certificates.line(ONE.model_hash) == ""
    path = certificates.keep(ONE)
    assert path.name == "nano-aaaaaaaaaaaa.json" and "runs" in path.parts
    assert certificates.find(ONE.model_hash) == ONE
    assert certificates.line(ONE.model_hash) == (
        "audited 2026-11-26: nothing is seen before its time, 2 checks"
    )
    assert certificates.find("a" * 12 + "b" * 52) is None, "the whole hash counts"


def test_a_later_failure_is_not_hidden_by_what_is_published():
    certificates.keep(ONE, publish=True)
    certificates.keep(BAD)
    assert certificates.line(ONE.model_hash) == "audited 2026-11-27: FAILED in batch"
    assert BAD.failed == ("batch",)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "audit"}'])
def test_a_damaged_certificate_is_none(content):
    path = certificates.keep(ONE)
    path.write_text(content)
    assert certificates.find(ONE.model_hash) is None


@pytest.mark.parametrize("name", sorted(published.models()))
def test_every_published_model_has_passed(name, monkeypatch):
    here = published.HERE / "certificates"
    monkeypatch.setattr(certificates, "PUBLISHED", here)
    found = certificates.find(checkpoints.model_hash(checkpoints.load(name)))
    assert found is not None and found.model == name
    assert not found.failed and found.passed >= 9
    assert not found.commit.endswith("+"), "made by a commit, not by changed files"


def test_the_recordings_are_by_models_that_have_passed(monkeypatch):
    here = published.HERE / "certificates"
    monkeypatch.setattr(certificates, "PUBLISHED", here)
    for name, header in published.recordings().items():
        line = header.audited or certificates.line(header.model_hash)
        assert "nothing is seen before its time" in line, name
