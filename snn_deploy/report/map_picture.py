"""The map of the chip: in the page, where one chooses its colors, and as a file."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from snn_deploy.files.writing import text_writer, write_whole
from snn_deploy.ir.mapped import Link, MappedNetwork
from snn_deploy.profile.loads import Loads, flows_of
from snn_deploy.report.chip_map import Coloring, colorings
from snn_deploy.report.colors import LIGHT, drawing_style
from snn_deploy.report.exhibits import figure
from snn_deploy.report.markup import Html, element
from snn_deploy.report.units import number

WIDE = 420  # what the tiles in use are to fill
LEAST_CELL, LARGEST_CELL = 6, 30  # of a neurocore
LEAST_SPACE = 5  # between tiles
CHIP_SPACE = 12  # more of it between chips
BORDER = 4  # of a chip, where there are several
LEFT, TOP = 26, 26  # beside the tiles and above them, for their numbers
LINE = 16  # height of one of the legend
LETTER = 5.2  # width of one, about
LONGEST = 76  # letters of a line
MOST_LINES = 24  # of a legend
MOST_OUTLINES = 1 << 17  # of neurocores, in use or not; beyond: of those in use
MOST_TITLES = 2000  # neurocores that say what they are when pointed at
MOST_PIXELS = 1240  # of the file; a window shows all of its width
LEAST_WIDTH = 360
THICKEST = 5.0  # line from tile to tile
Flows = Mapping[Link, float]  # packets of an input
PAPER, EMPTY, FLOW = "#ffffff", "#b9bcc0", "#85898f"


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the tiles are drawn: those in use, and what lies between them."""

    first: tuple[int, int]  # column and row of the tile at the upper left
    last: tuple[int, int]
    of_chip: tuple[int, int]  # tiles of one, across and down
    side: int  # neurocores of a tile, side by side
    cell: int
    space: int

    @classmethod
    def of(cls, network: MappedNetwork) -> "_Layout":
        mesh = network.target.mesh
        across = [core.x for core in network.cores]
        down = [core.y for core in network.cores]
        first, last = (min(across), min(down)), (max(across), max(down))
        side = math.isqrt(mesh.neurocores_per_tile - 1) + 1
        columns = last[0] - first[0] + 1
        room = WIDE // (columns * (side + 1))
        cell = min(max(room, LEAST_CELL), LARGEST_CELL)
        return cls(
            first=first,
            last=last,
            of_chip=(mesh.width, mesh.height),
            side=side,
            cell=cell,
            space=max(LEAST_SPACE, cell * 3 // 4),
        )

    def corner(self, x: int, y: int) -> tuple[int, int]:
        """Return where a tile begins; chips lie side by side, as on their board."""
        pitch = self.tile + self.space
        (left, top), (width, height) = self.first, self.of_chip
        return (
            LEFT + (x - left) * pitch + (x // width - left // width) * CHIP_SPACE,
            TOP + (y - top) * pitch + (y // height - top // height) * CHIP_SPACE,
        )

    def cell_at(self, x: int, y: int, k: int) -> tuple[int, int]:
        """Return where neurocore ``k`` of a tile is drawn."""
        left, top = self.corner(x, y)
        row, column = divmod(k, self.side)
        return left + self.cell * column, top + self.cell * row

    @property
    def tile(self) -> int:
        return self.cell * self.side

    @property
    def columns(self) -> range:
        return range(self.first[0], self.last[0] + 1)

    @property
    def rows(self) -> range:
        return range(self.first[1], self.last[1] + 1)

    @property
    def size(self) -> tuple[int, int]:
        x, y = self.corner(*self.last)
        return x + self.tile + BORDER, y + self.tile + BORDER


def map_figure(network: MappedNetwork, loads: Loads | None) -> Html:
    """Return the map with buttons that choose what its colors mean."""
    found, layout = colorings(network, loads), _Layout.of(network)
    flows = _flows_of(network, loads)
    buttons = [
        element(
            "label",
            element(
                "input", type="radio", name="colors", value=coloring.key,
                **({"checked": ""} if i == 0 else {}),
            ),
            f" {coloring.name}",
        )
        for i, coloring in enumerate(found)
    ]  # fmt: skip

    def colors(position: int) -> dict[str, str]:
        pairs = [f"--{c.key}: {c.colors[position]}" for c in found]
        return {"style": "; ".join(pairs)}

    width, height = layout.size
    legends = [
        element("g", *_legend(coloring, height), class_=f"legend {coloring.key}")
        for coloring in found
    ]
    width, height = max(width, *map(_width, found)), height + max(map(_height, found))
    drawing = element(
        "svg",
        *_grid(network, layout, found, colors),
        *_flows(flows, layout),
        *legends,
        viewBox=f"0 0 {width} {height}",
        role="img",
        font_family="sans-serif",
        aria_label=f"Map of the chip, {len(network.cores)} neurocores in use; the "
        "table below says what they do",
        style=f"max-width: {1.25 * width:.0f}px",
    )
    columns = ("neurocore", "x", "y", *(coloring.name for coloring in found))
    rows = [
        (core.index, core.x, core.y, *(coloring.texts[i] for coloring in found))
        for i, core in enumerate(network.cores)
    ]
    return figure(
        "map",
        "Where it lies",
        drawing,
        _caption(network, layout, flows),
        (columns, rows),
        controls=element(
            "fieldset", element("legend", "Neurocores colored by"), *buttons
        ),
        class_="map",
    )


def _caption(network: MappedNetwork, layout: _Layout, flows: Flows) -> str:
    mesh = network.target.mesh
    (left, top), (right, below) = layout.first, layout.last
    text = f"Tiles x {left} to {right}, y {top} to {below}; a chip has {mesh.width} "
    text += f"\N{MULTIPLICATION SIGN} {mesh.height} tiles of "
    text += f"{mesh.neurocores_per_tile} neurocores."
    if not flows:
        return text
    most = number(round(max(flows.values()), 1))
    return (
        f"{text} Lines: packets of an input from tile to tile, each way on its right, "
        f"at most {most}; what each neurocore sends is measured, where it goes is as "
        "if its neurons fired alike."
    )


def write_map(network: MappedNetwork, loads: Loads | None, path: Path) -> None:
    """Write the map as an SVG file."""
    write_whole(path, text_writer(map_file(network, loads)))


def map_file(network: MappedNetwork, loads: Loads | None = None) -> str:
    """Return the map as an SVG file, a panel for each meaning of its colors."""
    layout, found = _Layout.of(network), colorings(network, loads)
    flows = _flows_of(network, loads)
    width, height = layout.size
    width = max(width, LEAST_WIDTH, *map(_width, found)) + 2 * BORDER
    parts: list[Html] = []
    top = 0
    for coloring in found:
        title = f"{network.graph.name} on {network.target.name}, by {coloring.name}"
        words = element("text", title, x="10", y=f"{LINE}", font_weight="bold")
        panel = [
            *_grid(network, layout, [coloring], _fill(coloring)),
            *_flows(flows, layout),
            *_legend(coloring, height),
        ]
        parts.append(element("g", words, transform=f"translate(0 {top})"))
        place = f"translate(0 {top + LINE})"
        parts.append(element("g", *panel, transform=place, class_="panel"))
        top += LINE + height + _height(coloring) + LINE
    scale = min(1.5, MOST_PIXELS / width)
    drawing = element(
        "svg",
        element("style", Html(drawing_style(LIGHT))),
        element("rect", width="100%", height="100%", fill=PAPER),
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {width} {top}",
        width=f"{scale * width:.0f}",
        height=f"{scale * top:.0f}",
        font_family="sans-serif",
        font_size="11",
        fill=LIGHT["ink"],
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{drawing}\n'


def _fill(coloring: Coloring) -> Callable[[int], dict[str, str]]:
    return lambda position: {"fill": coloring.colors[position]}


def _legend(coloring: Coloring, top: int) -> Iterator[Html]:
    for i, (color, text) in enumerate(coloring.legend[:MOST_LINES]):
        y = top + LINE * i + LINE // 2
        yield element(
            "rect", x=f"{LEFT}", y=f"{y}", width="10", height="10", fill=color
        )
        yield element(
            "text", _short(text), x=f"{LEFT + 15}", y=f"{y + 9}", class_="layer"
        )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}\u2026"


def _width(coloring: Coloring) -> int:
    lines = coloring.legend[:MOST_LINES]
    return round(LEFT + 15 + LETTER * max(len(_short(text)) for _, text in lines))


def _height(coloring: Coloring) -> int:
    return LINE * (min(len(coloring.legend), MOST_LINES) + 1)


def _grid(
    network: MappedNetwork,
    layout: _Layout,
    found: list[Coloring],
    look: Callable[[int], dict[str, str]],
) -> Iterator[Html]:
    """Yield outlines of chips and tiles, and a square for each neurocore in use."""
    if network.n_chips > 1:
        yield element("path", d=_borders(layout), class_="chips", fill="none",
                      stroke=EMPTY)  # fmt: skip
    yield from _numbers(layout)
    per_tile = network.target.mesh.neurocores_per_tile
    tiles = [*product(layout.columns, layout.rows)]
    if len(tiles) * per_tile > MOST_OUTLINES:
        tiles = sorted({(core.x, core.y) for core in network.cores})
    size = layout.cell - 2
    outlines = [
        "M{} {}h{}v{}h-{}z".format(*layout.cell_at(*tile, k), size, size, size)
        for tile, k in product(tiles, range(per_tile))
    ]
    yield element("path", d="".join(outlines), class_="empty", fill="none",
                  stroke=EMPTY, stroke_width="0.6")  # fmt: skip
    used: Counter[tuple[int, int]] = Counter()
    for position, core in enumerate(network.cores):
        x, y = layout.cell_at(core.x, core.y, used[core.x, core.y])
        used[core.x, core.y] += 1
        title = _title(network, found, position)
        yield element(
            "rect", *title, x=str(x), y=str(y), width=str(size), height=str(size),
            class_="core", **look(position),
        )  # fmt: skip


def _numbers(layout: _Layout) -> Iterator[Html]:
    """Yield the numbers of columns and rows, as many as there is room for."""
    step = -(-22 // (layout.tile + layout.space))
    half = layout.tile // 2
    for x in layout.columns[::step]:
        place = str(layout.corner(x, layout.first[1])[0] + half)
        text = f"x {x}" if x == layout.first[0] else x
        yield element(
            "text", text, x=place, y=f"{TOP - 8}", text_anchor="middle", class_="tick"
        )
    for y in layout.rows[::step]:
        place = str(layout.corner(layout.first[0], y)[1] + half + 3)
        text = f"y {y}" if y == layout.first[1] else y
        yield element(
            "text", text, x=f"{LEFT - 7}", y=place, text_anchor="end", class_="tick"
        )


def _flows_of(network: MappedNetwork, loads: Loads | None) -> Flows:
    return {} if loads is None else flows_of(network, loads)


def _flows(flows: Flows, layout: _Layout) -> Iterator[Html]:
    """Yield a line from tile to tile for what passes there, each way on its right."""
    most = max(flows.values(), default=0.0)
    shift, half = layout.tile / 4, layout.tile / 2
    for link, packets in flows.items():
        step = link.end[0] - link.start[0], link.end[1] - link.start[1]
        ends = [layout.corner(*tile) for tile in (link.start, link.end)]
        a, b = (
            (x + half - step[1] * shift - 1, y + half + step[0] * shift - 1)
            for x, y in ends
        )
        start = [a[i] + step[i] * half for i in (0, 1)]
        end = [b[i] - step[i] * half for i in (0, 1)]
        title = f"{link.start[0]}, {link.start[1]} to {link.end[0]}, {link.end[1]}: "
        title += f"{number(round(packets, 1))} packets of an input"
        yield element(
            "path",
            element("title", title),
            d=f"M{start[0]:g} {start[1]:g}L{end[0]:g} {end[1]:g}",
            class_="flow",
            stroke=FLOW,
            stroke_width=f"{max(0.5, THICKEST * packets / most):.2f}",
        )


def _borders(layout: _Layout) -> str:
    """Return the path around the part of each chip that is shown."""
    width, height = layout.of_chip
    found = []
    columns = sorted({x // width for x in layout.columns})
    rows = sorted({y // height for y in layout.rows})
    for column, row in product(columns, rows):
        xs = [x for x in layout.columns if x // width == column]
        ys = [y for y in layout.rows if y // height == row]
        left, top = layout.corner(xs[0], ys[0])
        right, below = layout.corner(xs[-1], ys[-1])
        across = right - left + layout.tile + 2 * BORDER - 2
        down = below - top + layout.tile + 2 * BORDER - 2
        found.append(f"M{left - BORDER} {top - BORDER}h{across}v{down}h-{across}z")
    return "".join(found)


def _title(network: MappedNetwork, found: list[Coloring], position: int) -> list[Html]:
    if len(network.cores) > MOST_TITLES:
        return []
    core = network.cores[position]
    texts = "; ".join(f"{c.name}: {c.texts[position]}" for c in found)
    what = f"neurocore {core.index} on tile {core.x}, {core.y}; {texts}"
    return [element("title", what)]
