"""Formulas on a page without a script: TeX between dollars becomes MathML."""

import pytest

from lab.course.formulas import PATTERN, with_mathml


def formulas(markdown):
    found = PATTERN.finditer(markdown)
    return [one["display"] or one["inline"] for one in found if one.lastgroup]


def test_formulas_are_found_and_money_and_code_are_not():
    assert formulas("so $w_i = 2$ and $$x$$") == ["w_i = 2", "x"]
    assert formulas("it costs $5 or $10, and $ 3 $ is spaced") == []
    assert formulas("`$HOME` and\n```\n$x$\n```\nbut $y$") == ["y"]


def test_a_formula_becomes_mathml_in_its_place():
    pytest.importorskip("latex2mathml")
    page = with_mathml(r"One step: $w_{i} - \eta\, g_i$. `$kept$`")
    assert page.startswith('One step: <math xmlns="http://www.w3.org/1998/Math/MathML"')
    assert "<msub>" in page and page.endswith("</math>. `$kept$`") and "$w" not in page
    assert 'display="block"' in with_mathml("$$x$$")
