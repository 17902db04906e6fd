"""HTML by construction: what is not markup already is escaped."""

import re
from collections.abc import Iterable, Sequence
from html import escape

VOID = ("input", "meta")
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LONGEST_LINE = 30  # letters of a cell that is not broken
NUMBER_AND_UNIT = re.compile(r"(?<=\d) (?=(?:%|[fpnµmkMGT]?[JsW]\b))")


class Html(str):
    """Markup; any other text is escaped where it enters."""

    __slots__ = ()


def element(tag: str, *children: object, **attributes: str) -> Html:
    """Return an element; ``class_`` is ``class``, and ``_`` is ``-`` in a name."""
    names = ((name.rstrip("_").replace("_", "-"), v) for name, v in attributes.items())
    opening = tag + "".join(f' {name}="{_escaped(v)}"' for name, v in names)
    if tag in VOID:
        return Html(f"<{opening}>")
    return Html(f"<{opening}>{together(children)}</{tag}>")


def together(parts: Iterable[object]) -> Html:
    """Return parts in a row, text escaped."""
    return Html("".join(p if isinstance(p, Html) else _text(p) for p in parts))


def _text(part: object) -> str:
    return _escaped(NUMBER_AND_UNIT.sub("\N{NO-BREAK SPACE}", str(part)))


def _escaped(text: str) -> str:
    return escape(NO_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def section(title: str, *children: object) -> Html:
    """Return a part of the page under its heading."""
    return element("section", element("h2", title), *children)


def items(parts: Iterable[object]) -> Html:
    """Return a list."""
    return element("ul", *(element("li", part) for part in parts))


def folded(summary: str, *children: object) -> Html:
    """Return something that opens on a click."""
    return element("details", element("summary", summary), *children)


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    words: Sequence[str] = (),
) -> Html:
    """Return a table whose first column names the rows.

    Parameters
    ----------
    caption : str
    columns : sequence of str
        An empty name is a cell without a heading.
    rows : iterable of sequences
    words : sequence of str
        The columns, beside the first, that hold words; the others hold numbers.
    """
    head = [
        element("th", name, scope="col", **_kind(name in words or i == 0))
        if name
        else element("td")
        for i, name in enumerate(columns)
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
    return element(
        "div", whole, class_="wide", role="region", aria_label=caption, tabindex="0"
    )


def _cell(position: int, content: object, is_words: bool) -> Html:
    if position == 0:
        return element("th", content, scope="row")
    is_long = is_words and len(str(content)) > LONGEST_LINE
    return element("td", content, **_kind(is_words, " prose" if is_long else ""))


def _kind(is_words: bool, more: str = "") -> dict[str, str]:
    return {"class_": f"words{more}"} if is_words else {}
