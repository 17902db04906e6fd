"""Figures and tables that can be taken out of the page, by buttons for their files."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape, unescape

from snn_deploy.names import cell as harmless
from snn_deploy.report.markup import Html, element
from snn_deploy.report.units import Quantity

LONGEST_LINE = 30  # letters of a cell that is not broken
NOTHING = Html("")
Row = Sequence[object]


@dataclass(frozen=True, kw_only=True)
class Look:
    """A cell that looks other than what it holds."""

    look: Html
    value: object


def figure(
    name: str,
    title: str,
    drawing: Html,
    caption: object,
    data: tuple[Sequence[str], Iterable[Row]],
    *,
    controls: Html = NOTHING,
    **attributes: str,
) -> Html:
    """Return a drawing with its caption, and buttons for SVG, PNG and CSV files.

    Parameters
    ----------
    name : str
        Of the files.
    title : str
    drawing : Html
        An ``svg``.
    caption : str or Html
        Says in words what it shows.
    data : columns, rows
        What it shows in numbers.
    controls : Html
        Choose what is drawn.
    """
    named = drawing
    if "role=" not in drawing[: drawing.index(">")]:
        words = f'<svg role="img" aria-label="{escape(title)}"'
        named = Html(drawing.replace("<svg", words, 1))
    kinds = {"svg": "", "png": "", "csv": csv_text(*data)}
    return element(
        "figure",
        element("div", element("h3", title), buttons(name, title, kinds), class_="top"),
        controls,
        named,
        *([element("figcaption", caption)] if caption else []),
        **attributes,
    )


def table(
    name: str,
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Row],
    *,
    words: Sequence[str] = (),
) -> Html:
    """Return a table whose first column names the rows, with a button for its CSV.

    Parameters
    ----------
    name : str
        Of the file.
    caption : str
    columns : sequence of str
        An empty name is a cell without a heading.
    rows : iterable of sequences
    words : sequence of str
        The columns, beside the first, that hold words; the others hold numbers.
    """
    rows = [*rows]
    head = [
        element("th", column, scope="col", **_kind(column in words or i == 0))
        if column
        else element("td")
        for i, column in enumerate(columns)
    ]
    body = [
        element("tr", *(_cell(i, c, columns[i] in words) for i, c in enumerate(row)))
        for row in rows
    ]
    whole = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", *head)),
        element("tbody", *body),
    )
    return with_buttons(
        buttons(name, caption, {"csv": csv_text(columns, rows)}),
        element(
            "div", whole, class_="wide", role="region", aria_label=caption, tabindex="0"
        ),
    )


def with_buttons(bar: Html, content: Html) -> Html:
    """Return a table below the buttons for its files, at its right end."""
    return element("div", bar, content, class_="held")


def buttons(name: str, title: str, kinds: dict[str, str]) -> Html:
    """Return a button for each kind of file, which a script shows and serves.

    The text of a file is in the page, or is made by the script if that is empty.
    """
    found = [
        element(
            "button", kind.upper(), type="button", data_file=f"{name}.{kind}",
            aria_label=f"{kind.upper()}: {title}",
            **({"data_text": text} if text else {}),
        )
        for kind, text in kinds.items()
    ]  # fmt: skip
    return element("p", *found, class_="take", hidden="")


def csv_text(columns: Sequence[str], rows: Iterable[Row]) -> str:
    """Return a table as CSV: numbers in SI units without prefix, unknown ones empty.

    The unit stands in the head of a column, or else of a row, whose values share it.
    """
    cells = [[_held(cell) for cell in row] for row in rows]
    heads = [
        _with_unit(name, _values(row[i] for row in cells))
        for i, name in enumerate(columns)
    ]
    if heads == [*columns]:
        for row in cells:
            row[0] = _with_unit(str(row[0]), [v for v in _values(row) if v.unit])
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([harmless(head) for head in heads])
    writer.writerows([[_plain(cell) for cell in row] for row in cells])
    return buffer.getvalue()


def _held(cell: object) -> object:
    return cell.value if isinstance(cell, Look) else cell


def _values(cells: Iterable[object]) -> list[Quantity]:
    return [cell for cell in cells if isinstance(cell, Quantity)]


def _with_unit(name: str, values: Sequence[Quantity]) -> str:
    units = {value.unit for value in values}
    return f"{name} [{units.pop()}]" if len(units) == 1 and any(units) else name


def _plain(cell: object) -> str:
    if isinstance(cell, Quantity):
        return "" if cell.number is None else f"{cell.number:.6g}"
    if isinstance(cell, Html):
        return harmless(unescape(re.sub(r"<[^>]*>", "", cell)))
    if isinstance(cell, float):
        return "" if cell != cell else f"{cell:.6g}"
    return harmless(str(cell)) if isinstance(cell, str) else str(cell)


def _cell(position: int, content: object, is_words: bool) -> Html:
    shown = content.look if isinstance(content, Look) else content
    if position == 0:
        return element("th", shown, scope="row")
    is_long = is_words and len(str(shown)) > LONGEST_LINE
    return element("td", shown, **_kind(is_words, " prose" if is_long else ""))


def _kind(is_words: bool, more: str = "") -> dict[str, str]:
    return {"class_": f"words{more}"} if is_words else {}
