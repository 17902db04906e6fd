"""The layers of a network by kind and shape, and a diagram of how they follow."""

from collections.abc import Iterator

from snn_deploy.arrays import Shape
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import Projection, QuantizedGraph
from snn_deploy.report.exhibits import Row, figure
from snn_deploy.report.markup import Html, element

TIMES = "\N{MULTIPLICATION SIGN}"
ROW, LOW_ROW = 38, 22  # height of a layer in the diagram; of many
MOST_HIGH = 16  # layers that have two lines
RAIL, LANE = 12, 11  # where the layers' marks are; between projections that go around
TEXT = 16  # from the marks to the words
LETTER = 6.4  # width of one, about
LONGEST = 34  # letters of a name in the diagram


def shape_text(shape: Shape) -> str:
    """Return a shape as people write it."""
    return TIMES.join(map(str, shape))


def kind_of(graph: QuantizedGraph, name: str) -> str:
    """Return by which synapses a population is reached: ``conv 3x3``, ``dense``."""
    into = graph.projections_into(graph.population(name))
    return " + ".join(dict.fromkeys(map(_kind, into))) or "unconnected"


def _kind(projection: Projection) -> str:
    synapses = projection.synapses
    if synapses.kind != "conv":
        return synapses.kind
    return f"conv {shape_text(synapses.weights.shape[2:])}"


def layer_name(graph: QuantizedGraph, name: str) -> str:
    """Return a population's name with its kind and shape."""
    shape = shape_text(graph.shape_of(name))
    if name == graph.source.name:
        return f"{name} ({shape})"
    return f"{name} ({kind_of(graph, name)}, {shape})"


def n_cores_of(network: MappedNetwork, name: str) -> int:
    """Return on how many neurocores a population lies."""
    return sum(any(p.population == name for p in c.pieces) for c in network.cores)


def layers_figure(network: MappedNetwork) -> Html:
    """Return the diagram: a line for each layer, projections along its left."""
    graph = network.graph
    names = [graph.source.name, *(p.name for p in graph.populations)]
    caption = (
        f"From the input to what is read out, {graph.output}: {len(names) - 1:,} "
        f"populations of {sum(p.size for p in graph.populations):,} neurons. Squares "
        "spike, the circle is read out by its voltage."
    )
    if graph.readout.spikes:
        caption = caption[: caption.index(" Squares")]
    columns = ("layer", "kind", "shape", "neurons", "neurocores", "reached from")
    return figure(
        "layers",
        "The network, layer by layer",
        _diagram(network, names),
        caption,
        (columns, [_row(network, name) for name in names]),
        class_="layers",
    )


def _row(network: MappedNetwork, name: str) -> Row:
    graph = network.graph
    shape = graph.shape_of(name)
    if name == graph.source.name:
        return (name, "input", shape_text(shape), graph.source.size, 0, "")
    population = graph.population(name)
    sources = "; ".join(p.source for p in graph.projections_into(population))
    n_cores = n_cores_of(network, name)
    kind = kind_of(graph, name)
    return (name, kind, shape_text(shape), population.size, n_cores, sources)


def _diagram(network: MappedNetwork, names: list[str]) -> Html:
    graph = network.graph
    is_high = len(names) - 1 <= MOST_HIGH
    height = ROW if is_high else LOW_ROW
    lanes = _lanes(graph, names)
    left = RAIL + LANE * max(lanes.values(), default=0)
    lines = [_line(network, name, is_high) for name in names]
    letters = max(max(len(a) + len(b) + 2, len(c)) for a, b, c in lines)

    def y(row: int) -> float:
        return height * (row + 0.5)

    drawn = [_projection(left, y(a), y(b), lane) for (a, b), lane in lanes.items()]
    for i, (name, words) in enumerate(zip(names, lines, strict=True)):
        drawn += [_mark(graph, name, left, y(i)), *_words(left, y(i), words)]
    width = left + TEXT + LETTER * letters
    return element(
        "svg",
        *drawn,
        viewBox=f"0 0 {width:.0f} {height * len(names)}",
        role="img",
        font_family="sans-serif",
        aria_label="The layers of the network and how they follow; the tables below "
        "hold the same in words",
        style=f"max-width: {1.25 * width:.0f}px",
    )


def _lanes(graph: QuantizedGraph, names: list[str]) -> dict[tuple[int, int], int]:
    """Return for each pair of joined rows how far left its line runs; 0: straight."""
    row = {name: i for i, name in enumerate(names)}
    pairs = sorted(
        {(row[p.source], row[p.target]) for p in graph.projections},
        key=lambda pair: (abs(pair[1] - pair[0]), pair),
    )
    found: dict[tuple[int, int], int] = {}
    for a, b in pairs:
        lane = 0 if b == a + 1 else 1
        while lane and any(
            lane == other and min(a, b) < max(c, d) and min(c, d) < max(a, b)
            for (c, d), other in found.items()
        ):
            lane += 1
        found[a, b] = lane
    return found


def _projection(x: float, top: float, bottom: float, lane: int) -> Html:
    if not lane:
        return element("path", d=f"M{x} {top}V{bottom}", class_="axis")
    out = x - LANE * lane
    if top == bottom:  # to itself
        top, bottom = top - 5, bottom + 5
    turn = min(8.0, abs(bottom - top) / 2) * (1 if bottom > top else -1)
    way = (
        f"M{x} {top}Q{out} {top} {out} {top + turn:g}V{bottom - turn:g}"
        f"Q{out} {bottom} {x} {bottom}"
    )
    return element("path", d=way, class_="axis")


def _mark(graph: QuantizedGraph, name: str, x: float, y: float) -> Html:
    if name == graph.source.name:
        shape = f"M{x - 5} {y - 4}h10l-5 8z"
    elif graph.population(name).spikes:
        shape = f"M{x - 4.5} {y - 4.5}h9v9h-9z"
    else:
        shape = f"M{x - 5} {y}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z"
    return element("path", d=shape, class_="mark")


def _line(network: MappedNetwork, name: str, is_high: bool) -> tuple[str, str, str]:
    """Return the name, its kind, and what else there is to say."""
    graph = network.graph
    shape = shape_text(graph.shape_of(name))
    short = (
        name
        if len(name) <= LONGEST
        else f"{name[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"
    )
    if name == graph.source.name:
        values = f"{graph.source.size:,} values"
        return (short, shape, values) if is_high else (short, shape, "")
    kind = kind_of(graph, name)
    if not is_high:
        return short, f"{kind}, {shape}", ""
    n, size = n_cores_of(network, name), graph.population(name).size
    cores = "1 neurocore" if n == 1 else f"{n:,} neurocores"
    equal = f"{shape} = " if "\N{MULTIPLICATION SIGN}" in shape else ""
    return short, kind, f"{equal}{size:,} neurons on {cores}"


def _words(x: float, y: float, words: tuple[str, str, str]) -> Iterator[Html]:
    name, kind, more = words
    bold = element("tspan", name, font_weight="bold")
    first = y - 2 if more else y + 4
    at = f"{x + TEXT:g}"
    yield element("text", bold, f"  {kind}", x=at, y=f"{first:g}", class_="layer")
    if more:
        yield element("text", more, x=at, y=f"{y + 11:g}", class_="tick")
