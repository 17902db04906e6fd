"""The table of all inputs, which a script sorts and filters, and its data."""

import json
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.costs.energy import TOTAL, parts_within
from snn_deploy.profile.closeups import worth_a_look
from snn_deploy.profile.profile import Profile
from snn_deploy.report.colors import IN_PAGE, LIGHT, drawing_style
from snn_deploy.report.exhibits import buttons, with_buttons
from snn_deploy.report.input_columns import Column, columns
from snn_deploy.report.markup import Html, element, section, together
from snn_deploy.report.sprite import ACROSS, Sprite

MOST_ROWS = 20_000
PAGE_ROWS = 15


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shown:
    """The inputs of the table."""

    profile: Profile
    positions: IntArray  # (n,), in the profile
    pictures: Sprite
    close: frozenset[int]  # positions of inputs with a card of their own

    @cached_property
    def columns(self) -> list[Column]:
        return columns(self.profile, self.positions)

    @cached_property
    def subsets(self) -> dict[str, tuple[str, IntArray]]:
        """The groups that the table can show: name, and rows."""
        rows, fixed = self.profile.rows, self.profile.fixed_rows
        changed = rows.column("prediction") != fixed.column("prediction")
        found = {"all": ("all", np.ones(len(rows), np.bool_))}
        if rows.has_labels:
            found["wrong"] = ("wrong", ~rows.is_right)
        if self.profile.has_cutoff:
            found["changed"] = ("changed by stopping early", changed)
            late = ~rows.column("stopped_early")
            found["late"] = ("late: not stopped early", late)
        return {
            key: (name, np.flatnonzero(mask[self.positions]))
            for key, (name, mask) in found.items()
        }

    @property
    def parts(self) -> list[str]:
        """The parts of the energy that are known."""
        return [
            column.key
            for column in self.columns
            if column.key in parts_within(TOTAL) and not np.isnan(column.numbers).all()
        ]

    @property
    def by(self) -> str:
        """The first order: by what it costs, as far as that is known."""
        known = [c.key for c in self.columns if not np.isnan(c.numbers).any()]
        return next(key for key in ("energy", "latency", "timesteps") if key in known)

    @property
    def first_rows(self) -> list[int]:
        """The rows of the first page, as the script sorts them."""
        numbers = next(c.numbers for c in self.columns if c.key == self.by)
        first: list[int] = np.argsort(-numbers, kind="stable")[:PAGE_ROWS].tolist()
        return first


def inputs(profile: Profile, pictures: Sprite, close: frozenset[int]) -> Html:
    """Return the section: controls, energies in the table's order, the table.

    ``close`` are the positions of inputs with a card of their own.
    """
    n = len(profile.rows)
    positions = worth_a_look(profile, MOST_ROWS) if n > MOST_ROWS else np.arange(n)
    shown = _Shown(profile=profile, positions=positions, pictures=pictures, close=close)
    what = "Press the head of a column to sort by it, again for the other direction."
    if len(positions) < n:
        what += f" Of {n:,} inputs the {len(positions):,} most worth a look are here."
    alone = f"Without JavaScript: the first {PAGE_ROWS}, largest first."
    return section(
        "Inputs one by one",
        element("p", what, class_="small"),
        element("noscript", element("p", alone)),
        _controls(shown),
        _strip(shown),
        _table(shown),
        _pager(),
        _data(shown),
    )


def _controls(shown: _Shown) -> Html:
    choices = [
        element(
            "label",
            element(
                "input", type="radio", name="show", value=key,
                **({"checked": ""} if key == "all" else {}),
            ),
            f" {name} ({len(rows):,})",
        )
        for key, (name, rows) in shown.subsets.items()
    ]  # fmt: skip
    parts = [element("fieldset", element("legend", "Show"), *choices)]
    if shown.profile.rows.has_labels:
        labels = np.unique(shown.profile.rows.column("label")[shown.positions])
        options = [element("option", "any", value="")]
        options += [element("option", label, value=str(label)) for label in labels]
        parts.append(element("label", "label ", element("select", *options, id="only")))
    number = element("input", id="find", type="number", min="0", inputmode="numeric")
    parts.append(element("label", "input ", number))
    return element("form", *parts, id="controls", hidden="")


def _strip(shown: _Shown) -> Html:
    """Return where the script draws the energies of the inputs it shows."""
    if not shown.parts:
        return element("p", "Energies are unknown: the target has no public price.")
    note = next(c.note for c in shown.columns if c.key == shown.parts[0])
    key = [
        together([element("i", class_=f"key {part}"), f"{part} "])
        for part in shown.parts
    ]
    keys = [column.key for column in shown.columns if column.key in parts_within(TOTAL)]
    left_out = [part for part in keys if part not in shown.parts]
    unknown = f" Unknown, and left out: {', '.join(left_out)}." if left_out else ""
    drawing = element(
        "svg", id="strip", viewBox="0 0 1000 150", preserveAspectRatio="none",
        role="img", aria_label="Energy of each input by part, as the table sorts",
    )  # fmt: skip
    caption = element(
        "figcaption",
        element("span", *key, class_="keys"),
        f"Energy of each input up to the board [{note}], in the order of the table; "
        f"the frame is the page that it shows.{unknown} Highest: ",
        element("span", id="highest"),
    )
    return element("figure", drawing, caption, id="energies", class_="broad", hidden="")


def _table(shown: _Shown) -> Html:
    heads = [_head(column, shown.by) for column in shown.columns]
    heads.insert(1, element("td"))
    body = [_row(shown, row) for row in shown.first_rows]
    title = f"{len(shown.positions):,} inputs"
    caption = element("caption", element("span", title))
    whole = element(
        "table",
        caption,
        element("thead", element("tr", *heads)),
        element("tbody", *body),
        id="inputs",
    )
    room = element(
        "div", whole, class_="wide", role="region", aria_label="Inputs", tabindex="0"
    )
    return with_buttons(buttons("inputs", title, {"csv": ""}), room)


def _head(column: Column, by: str) -> Html:
    order = {"aria_sort": "descending"} if column.key == by else {}
    note = element("small", column.note)
    button = element("button", column.name, note, type="button")
    return element(
        "th", button, scope="col", data_key=column.key, **order, **_aligned(column)
    )


def _row(shown: _Shown, row: int) -> Html:
    first, *others = shown.columns
    position, name = int(shown.positions[row]), first.text(row)
    picture = shown.pictures.show(position, f"input {name}")
    link: object = name
    if position in shown.close:
        link = element("a", name, href=f"#input-{first.values[row]}")
    return element(
        "tr",
        element("th", link, scope="row"),
        element("td", picture, class_="small-picture"),
        *(element("td", c.text(row), **_aligned(c)) for c in others),
    )


def _aligned(column: Column) -> dict[str, str]:
    return {"class_": "words"} if column.words else {}


def _pager() -> Html:
    buttons = [
        element("button", text, type="button", id=key)
        for key, text in (("before", "Previous"), ("after", "Next"))
    ]
    where = element("span", id="where", role="status")
    return element("p", *buttons, where, class_="pager", hidden="")


def _data(shown: _Shown) -> Html:
    positions = shown.positions.tolist()
    data = {
        "columns": [column.as_json for column in shown.columns],
        "subsets": {key: rows.tolist() for key, (_, rows) in shown.subsets.items()},
        "pictures": [shown.pictures.places.get(p, -1) for p in positions],
        "close": [row for row, p in enumerate(positions) if p in shown.close],
        "by": shown.by,
        "parts": shown.parts,
        "rows": PAGE_ROWS,
        "across": ACROSS,
        "light": {**LIGHT, "style": drawing_style(IN_PAGE)},  # of files
    }
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    escaped = Html(text.replace("<", "\\u003c"))
    return element("script", escaped, type="application/json", id="data")
