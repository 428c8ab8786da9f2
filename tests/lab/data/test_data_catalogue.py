import hashlib
import subprocess
import sys

import pytest

from lab.commands import data as commands
from lab.data import addresses, catalogue, eltec, folders, tokenizers


ENTRIES = list(catalogue.ENTRIES.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_cards_say_what_the_entry_says(entry):
    card = folders.card(entry.card)
    assert entry.sha256 in card
    sizes = [entry.bytes, entry.tokens] if entry.name != "eltec-eng" else []
    assert all(f"{size:,}" in card for size in sizes)
    table = (folders.CARDS / "README.md").read_text()
    assert f"[{entry.card}]({entry.card}/README.md)" in table
    assert entry.name == "sotu" or f"{entry.tokens:,}" in table


def test_the_embedded_texts_have_the_sizes_and_checksums_told():
    if addresses.version() != "0.1.2":
        pytest.skip(f"the card is of sotu 0.1.2, installed is {addresses.version()}")
    chronicle, sotu = ENTRIES[0], ENTRIES[1]
    data = addresses.chronicle().encode()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (
        chronicle.bytes,
        chronicle.sha256,
    )
    data = "".join(addresses.text(name) for name in addresses.titles()).encode()
    assert (len(data), hashlib.sha256(data).hexdigest()) == (sotu.bytes, sotu.sha256)


def test_eltec_entry_follows_from_its_catalogue():
    entry, novels = catalogue.ENTRIES["eltec-eng"], eltec.novels()
    told = "\n".join(novel["sha256"] for novel in novels).encode()
    assert hashlib.sha256(told).hexdigest() == entry.sha256
    assert sum(novel["bytes"] for novel in novels) == entry.bytes
    assert {s: len(eltec.novels(s)) for s in eltec.SPLITS} == entry.splits


def test_listing_tells_what_is_here():
    here = {row["name"]: row["prepared"] for row in catalogue.listing()}
    assert here == {
        "sotu-chronicle": True,
        "sotu": True,
        "moby-dick": False,
        "eltec-eng": False,
    }


def test_show_gives_cards_and_documents():
    assert "`moby-dick` is not here yet: `ttt-lab" in catalogue.show("moby-dick")
    assert "George Washington" in catalogue.show("sotu/1790-Washington-1")
    with pytest.raises(FileNotFoundError, match="did you mean 'sotu.1790-Wash"):
        catalogue.show("sotu/1790-Washinton-1")


def test_commands_print(capsys, tmp_path, stories):
    commands.list_()
    commands.show("sotu")
    commands.prepare("sotu")
    commands.train_tokenizer(str(stories), vocab=300, out=tmp_path / "t.json")
    printed = capsys.readouterr().out
    assert "sotu-chronicle" in printed and "nothing to do" in printed
    assert tokenizers.from_file(tmp_path / "t.json").vocab == 300


def test_importing_the_data_room_is_light():
    modules = ", ".join(
        f"lab.data.{path.stem}"
        for path in folders.CARDS.parent.joinpath("lab/data").glob("*.py")
        if path.stem != "__init__"
    )
    heavy = "{'jax', 'grain', 'pandas', 'equinox'} & set(sys.modules)"
    code = f"import sys, {modules}; found = {heavy}; assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=folders.CARDS.parent)
