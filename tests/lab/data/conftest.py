import pytest


@pytest.fixture(autouse=True)
def data_folder(tmp_path, monkeypatch):
    """Every test prepares into a folder of its own."""
    folder = tmp_path / "prepared"
    monkeypatch.setenv("TTT_LAB_DATA", str(folder))
    return folder


@pytest.fixture
def stories(tmp_path):
    """A corpus of five text files of different lengths."""
    folder = tmp_path / "stories"
    folder.mkdir()
    for number, length in enumerate((90, 7, 64, 200, 41)):
        words = (f"word{number}x{place}" for place in range(length))
        (folder / f"story{number}.txt").write_text(" ".join(words), encoding="utf-8")
    return folder
