"""markup: what is not markup already is escaped."""

from snn_deploy.report.markup import Html, element, table


def test_text_and_attributes_are_escaped() -> None:
    found = element("p", "a < b & c", title='"><script>')

    assert found == '<p title="&quot;&gt;&lt;script&gt;">a &lt; b &amp; c</p>'


def test_markup_is_kept() -> None:
    assert element("p", Html("<b>x</b>")) == "<p><b>x</b></p>"


def test_table_names_its_columns_and_rows() -> None:
    found = table("sizes", ("", "n", "what"), [("<a>", 1, "x")], words=("what",))

    assert '<th scope="row">&lt;a&gt;</th>' in found
    assert '<th scope="col">n</th>' in found
    assert '<td class="words">x</td>' in found
    assert "<caption><span>sizes</span></caption>" in found


def test_number_keeps_its_unit_on_the_line() -> None:
    found = element("p", "59.0 µJ of 250 µJ, 98.7 % in 3 steps, 5 Joules")

    spaced = "59.0_µJ of 250_µJ, 98.7_% in 3 steps, 5 Joules"
    assert found == f"<p>{spaced}</p>".replace("_", "\N{NO-BREAK SPACE}")
