"""Characters that act instead of being seen become signs; no script is touched."""

import pytest

from lab.visible import one_line, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("light\x00 \x1b[31mout\x07.", "light␀ ␛[31mout␇."),
        ("\u202e reversed \u202c", "⟨U+202E⟩ reversed ⟨U+202C⟩"),
        ("\x7f\x85\u200b\ufeff\u2066", "␡⟨U+0085⟩⟨U+200B⟩⟨U+FEFF⟩⟨U+2066⟩"),
        ("half \ud83d", "half ⟨U+D83D⟩"),
    ],
)
def test_a_character_that_acts_is_shown(text, shown):
    assert visible(text) == shown
    shown.encode()


@pytest.mark.parametrize(
    "text",
    [
        "a\tb\nc",
        "परिवार \U0001f468\u200d\U0001f469 नमस्ते",
        "保险箱",
        "שלום عالم",
        "$*_`<b>",
    ],
)
def test_a_text_without_such_characters_stays(text):
    assert visible(text) == text


def test_one_line_has_no_line_end_and_no_tab():
    assert one_line("a\r\nb\n\tc") == "a↵b↵␉c"
