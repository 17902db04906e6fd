"""HTML by construction: what is not markup already is escaped."""

import re
from collections.abc import Iterable
from html import escape

VOID = ("input", "meta")
NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
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
    """Return a part of the page under its heading, which links lead to."""
    place = title.lower().replace(" ", "-")
    return element("section", element("h2", title), *children, id=place)


def navigation(parts: str) -> Html:
    """Return links to all sections of a page."""
    found = re.findall('<section id="([^"]+)"><h2>([^<]+)</h2>', parts)
    links = [element("a", Html(title), href=f"#{place}") for place, title in found]
    return element("nav", *links, aria_label="Sections")


def items(parts: Iterable[object]) -> Html:
    """Return a list."""
    return element("ul", *(element("li", part) for part in parts))


def folded(summary: str, *children: object) -> Html:
    """Return something that opens on a click."""
    return element("details", element("summary", summary), *children)
