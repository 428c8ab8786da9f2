r"""Formulas without a script: TeX between dollars becomes MathML, which browsers draw.

MathJax would be fetched from another host, or weigh megabytes. MathML is a few tags,
works without a network, and is read aloud by screen readers.
"""

import re


# Code spans and fences hold dollars that are no formulas; they come first and stay.
CODE = r"```.*?```|`[^`\n]*`"
DISPLAY = r"\$\$(?P<display>.+?)\$\$"
INLINE = r"(?<![\\$])\$(?P<inline>[^\s$](?:[^$\n]*[^\s$])?)\$(?![\d$])"
PATTERN = re.compile(f"{CODE}|{DISPLAY}|{INLINE}", re.S)


def with_mathml(markdown: str) -> str:
    """Markdown whose formulas are MathML; the rest is as it was.

    **Raises** `ImportError` with what to install.
    """
    return PATTERN.sub(_convert, markdown)


def _convert(found: re.Match) -> str:
    for kind, display in (("display", "block"), ("inline", "inline")):
        if found[kind]:
            return _mathml(found[kind].strip(), display)
    return found[0]


def _mathml(tex: str, display: str) -> str:
    try:
        from latex2mathml.converter import convert
    except ImportError as error:
        raise ImportError(
            "Pages with formulas need latex2mathml: pip install latex2mathml."
        ) from error
    return convert(tex, display=display).replace("\n", "")
