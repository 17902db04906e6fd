"""markup: what is not markup already is escaped."""

from snn_deploy.report.markup import Html, element, navigation, section


def test_text_and_attributes_are_escaped() -> None:
    found = element("p", "a < b & c", title='"><script>')

    assert found == '<p title="&quot;&gt;&lt;script&gt;">a &lt; b &amp; c</p>'


def test_markup_is_kept() -> None:
    assert element("p", Html("<b>x</b>")) == "<p><b>x</b></p>"


def test_number_keeps_its_unit_on_the_line() -> None:
    found = element("p", "59.0 µJ of 250 µJ, 98.7 % in 3 steps, 5 Joules")

    spaced = "59.0_µJ of 250_µJ, 98.7_% in 3 steps, 5 Joules"
    assert found == f"<p>{spaced}</p>".replace("_", "\N{NO-BREAK SPACE}")


def test_the_navigation_leads_to_every_section() -> None:
    parts = section("What it costs", "much") + section("Here & there")

    found = navigation(parts)

    assert '<section id="what-it-costs"><h2>What it costs</h2>much' in parts
    assert '<a href="#what-it-costs">What it costs</a>' in found
    assert found.count("<a ") == 2
