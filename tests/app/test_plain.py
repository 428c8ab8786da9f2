"""What visitors write reaches the page as written: never as Markdown, never unseen."""

import re

import pytest

from app.plain import plain


SIGNS = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
MARKUP = (
    "The fare is $5 and the tax is $3, *he said*; <b>x</b> :red[mind] :smile: "
    "[a link](javascript:alert(1)) `code` | a | b | my*notes*_v2_.txt -> www.a.org"
)


def written(markdown: str) -> str:
    """What a reader sees of Markdown in which every sign has its backslash."""
    assert not re.search(
        rf"(?<!\\)(\\\\)*[{re.escape(SIGNS[:27] + SIGNS[28:])}]",
        re.sub(r"\\.", "", markdown),
    )
    return re.sub(r"\\(.)", r"\1", markdown).replace("\u2060", "")


@pytest.mark.parametrize(
    "text", [MARKUP, SIGNS, "# a", "1. a", "    a", "* * *", "\\*"]
)
def test_every_sign_of_markdown_is_a_plain_sign(text):
    assert written(plain(text)) == text.strip(" ")


@pytest.mark.parametrize(
    "text",
    [":smile:", ":material/home:", "a -> b", "a -- b", "http://a", "www.a", "a@b"],
)
def test_what_streamlit_replaces_in_plain_text_is_kept_apart(text):
    assert "\u2060" in plain(text)


def test_controls_are_seen_and_lines_end_visibly():
    assert plain("a\x1b\u202e\nb") == r"a\\x1b\\u202e↵b"
