"""exhibits: figures and tables that can be taken out, in numbers as they are."""

import csv
import re
from html import unescape

from snn_deploy.report.exhibits import Look, csv_text, figure, table
from snn_deploy.report.markup import Html
from snn_deploy.report.units import number, percent, with_prefix


def test_table_names_its_columns_and_rows() -> None:
    found = table("n", "sizes", ("", "n", "what"), [("<a>", 1, "x")], words=("what",))

    assert '<th scope="row">&lt;a&gt;</th>' in found
    assert '<th scope="col">n</th>' in found
    assert '<td class="words">x</td>' in found
    assert "<caption><span>sizes</span></caption>" in found


def test_csv_has_numbers_in_units_without_prefix() -> None:
    rows = [
        ("a", with_prefix(4.56789e-5, "J"), percent(0.5), number(12_345)),
        ("b", with_prefix(None, "J"), percent(None), number(1.5)),
    ]

    text = csv_text(("way", "energy", "accuracy", "n"), rows)

    assert text == "way,energy [J],accuracy,n\na,4.56789e-05,0.5,12345\nb,,,1.5\n"


def test_units_of_rows_stand_in_their_heads() -> None:
    rows = [
        ("energy", with_prefix(2e-6, "J"), with_prefix(1e-6, "J"), percent(0.5)),
        ("latency", with_prefix(2e-3, "s"), with_prefix(1e-3, "s"), percent(0.5)),
    ]

    text = csv_text(("", "late", "early", "saved"), rows)

    assert text.splitlines()[0] == ",late,early,saved"
    assert text.splitlines()[1] == "energy [J],2e-06,1e-06,0.5"
    assert text.splitlines()[2] == "latency [s],0.002,0.001,0.5"


def test_markup_and_formulas_stay_out_of_csv() -> None:
    look = Look(look=Html("<b>best: 7</b>"), value=number(7))
    rows = [("=1+1", Html("a &amp; <i>b</i>"), look)]

    found = [*csv.reader(csv_text(("x", "y", "z"), rows).splitlines())]

    assert found[1] == ["'=1+1", "a & b", "7"]


def test_a_button_holds_the_table_and_the_cell_its_look() -> None:
    look = Look(look=Html("<b>best: 7</b>"), value=number(7))

    markup = table("sizes", "sizes", ("", "n"), [('"a", b', look)])

    assert "<td><b>best: 7</b></td>" in markup
    held = re.findall('data-file="sizes.csv"[^>]* data-text="([^"]*)"', markup)
    assert [*csv.reader(unescape(held[0]).splitlines())] == [["", "n"], ['"a", b', "7"]]


def test_a_figure_is_named_and_has_three_buttons() -> None:
    drawing = Html('<svg viewBox="0 0 1 1"></svg>')

    markup = figure("up", "Up & down", drawing, "words", (("a",), [(1,)]))

    assert re.findall('data-file="([^"]+)"', markup) == ["up.svg", "up.png", "up.csv"]
    assert '<svg role="img" aria-label="Up &amp; down" viewBox' in markup
