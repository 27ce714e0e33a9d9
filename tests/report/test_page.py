"""The template of pages: what it escapes, what its tables are sorted by, and the plotly.js that it packs."""

import base64
import gzip

import pytest
from plotly.offline import get_plotlyjs

from jaxrl.report import Column, render, score_text
from jaxrl.report.page import compressed_plotly
from jaxrl.report.palette import translucent

CHILD = """{% extends "page.html" %}
{% set sections = {"first": "First"} %}
{% block content %}<p>{{ text }}</p>{{ table(columns, marked) }}{% endblock %}
"""


@pytest.fixture
def page(tmp_path):
    (tmp_path / "child.html").write_text(CHILD)
    columns = [Column("<head>", ["1", "1,000"], [1.0, 1000.0]), Column("name", ["a & b", "c"])]
    context = {"title": "<Title>", "summary": [("what", "<value>")], "text": "<p>", "columns": columns}
    return render(tmp_path / "child.html", figures={}, marked=[False, True], **context)


def test_everything_that_is_not_the_templates_own_is_escaped(page):
    assert page.startswith("<!DOCTYPE html>")
    assert "<title>&lt;Title&gt;</title>" in page
    assert "<dd>&lt;value&gt;</dd>" in page
    assert "<p>&lt;p&gt;</p>" in page
    assert '<a href="#first">First</a>' in page


def test_cells_have_keys_where_their_texts_are_other_than_their_numbers(page):
    assert "<button>&lt;head&gt;</button>" in page
    assert "<tr><td>1</td><td>a &amp; b</td></tr>" in page
    assert '<tr class="marked"><td data-v="1000">1,000</td><td>c</td></tr>' in page
    assert Column("x", [""], [float("nan")]).key(0) is None
    assert Column("x", ["never"], [float("inf")]).key(0) == ""


def test_plotly_is_packed_whole():
    assert gzip.decompress(base64.b64decode(compressed_plotly())).decode() == get_plotlyjs()
    assert len(compressed_plotly()) < 0.45 * len(get_plotlyjs())


def test_texts():
    values = [12_345.6, -250.04, 3.14159, float("nan")]
    assert [score_text(value) for value in values] == ["12,346", "-250.0", "3.142", ""]
    assert translucent("#0072B2") == "rgba(0, 114, 178, 0.16)"
