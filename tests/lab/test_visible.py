"""Characters that act instead of being seen become signs; no script is touched."""

import pytest

from lab.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("light\x00 \x1b[31mout\x07.", r"light\x00 \x1b[31mout\x07."),
        ("\u202e reversed \u202c", r"\u202e reversed \u202c"),
        ("half \ud83d", r"half \ud83d"),
    ],
)
def test_a_character_that_acts_is_shown(text, shown):
    assert visible(text) == shown


@pytest.mark.parametrize(
    "text",
    ["a\tb\nc", "परिवार \U0001f468\u200d\U0001f469", "保险箱", "שלום عالم", "$*_`<b>"],
)
def test_a_text_without_such_characters_stays(text):
    assert visible(text) == text
