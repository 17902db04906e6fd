"""map_picture and chip_map: every neurocore is where it lies, in the colors it says."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from snn_deploy.ir.mapped import Link, MappedNetwork
from snn_deploy.profile.loads import Loads, flows_of
from snn_deploy.report.chip_map import colorings, utilization
from snn_deploy.report.map_picture import CHIP_SPACE, map_figure, map_file
from tests.report.profiles import network
from tests.report.reading import Reader

SVG = "{http://www.w3.org/2000/svg}"


def loads(*packets: float) -> Loads:
    n = np.array(packets)
    return Loads(packets=n, sent=n, injected=0 * n, busy_s=1e-6 * n)


def on_two() -> MappedNetwork:
    """Return a network with a population on each of two neurocores of a tile."""
    mapped = network()
    one = mapped.cores[0]
    cores = [replace(one, index=i, pieces=(p,)) for i, p in enumerate(one.pieces)]
    return replace(mapped, cores=tuple(cores))


def moved(mapped: MappedNetwork, *tiles: tuple[int, int]) -> MappedNetwork:
    """Return the network with its neurocores on these tiles."""
    places = zip(mapped.cores, tiles, strict=True)
    return replace(mapped, cores=tuple(replace(c, x=x, y=y) for c, (x, y) in places))


def places(markup: str) -> list[tuple[int, int]]:
    """Return where the neurocores of each panel are drawn."""
    found = re.findall(r'x="(\d+)" y="(\d+)"[^>]*class="core"', markup)
    return [(int(x), int(y)) for x, y in found]


def test_neurocores_lie_on_their_tiles_which_are_numbered() -> None:
    mapped = moved(on_two(), (1, 1), (3, 3))  # tiles of four neurocores

    root = ElementTree.fromstring(map_file(mapped))

    assert len(root.findall(f"{SVG}g[@class='panel']")) == 2
    (left, top), (right, below) = places(map_file(mapped))[:2]
    assert right - left == below - top > 0
    empty = root.find(f".//{SVG}path[@class='empty']")
    assert empty is not None
    assert empty.get("d", "").count("M") == 3 * 3 * 4  # only what lies between them
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"x 1", "2", "3", "y 1"} <= {*texts}


def test_a_network_in_a_corner_is_as_large_as_elsewhere() -> None:
    here, there = (map_file(moved(on_two(), (x, 0), (x + 1, 0))) for x in (0, 6))

    assert places(here) == places(there)


def test_neurocores_of_a_tile_lie_side_by_side() -> None:
    markup = map_file(on_two())

    places = re.findall(r'x="(\d+)" y="(\d+)"[^>]*class="core"', markup)
    assert len(set(places[:2])) == 2


def test_chips_lie_side_by_side() -> None:
    mapped = network()  # a chip has 8 x 4 tiles
    far = replace(mapped.cores[0], x=9, y=2)

    near = replace(mapped.cores[0], x=7, y=2, pieces=mapped.cores[0].pieces[:1])
    far = replace(far, pieces=mapped.cores[0].pieces[1:])

    markup = map_file(replace(mapped, cores=(near, far)))

    empty = re.findall(r'd="([^"]*)" class="empty"', markup)[0]
    assert empty.count("M") == 3 * 4
    corners = [int(x) for x in re.findall(r"M(\d+) \d+", empty)][::4]
    pitch = corners[2] - corners[1]
    assert corners[1] - corners[0] == pitch + CHIP_SPACE  # tiles 7, 8 and 9
    borders = re.findall(r'd="([^"]*)" class="chips"', markup)[0]
    assert borders.count("M") == 2


def test_one_chip_has_no_border_and_a_wide_board_fits_a_window() -> None:
    mapped = network()
    far = replace(mapped.cores[0], x=200, y=2)

    wide = ElementTree.fromstring(map_file(replace(mapped, cores=(far,))))

    assert 'class="chips"' not in map_file(mapped)
    assert int(wide.get("width", "")) <= 1240


def test_colors_say_how_much() -> None:
    found = {c.key: c for c in colorings(on_two(), loads(0.0, 1.0))}

    assert [*found] == ["layer", "use", "traffic", "busy"]
    assert len(set(found["layer"].colors)) == 2
    assert found["traffic"].colors[0] == "#440154"  # none
    assert found["traffic"].colors[-1] == "#fde725"  # the most
    assert found["traffic"].texts[-1] == "1"
    assert found["traffic"].legend[-1] == ("#fde725", "most: 1")
    assert found["busy"].texts[-1] == "1.00 µs"


def test_unknown_times_have_no_colors() -> None:
    mapped = on_two()
    one, none = np.ones(2), np.zeros(2)
    unknown = Loads(packets=one, sent=one, injected=none, busy_s=np.full(2, np.nan))

    assert [c.key for c in colorings(mapped, unknown)] == ["layer", "use", "traffic"]
    assert [c.key for c in colorings(mapped, None)] == ["layer", "use"]


def test_utilization_is_that_of_the_scarcest_resource() -> None:
    mapped = network()
    core = mapped.cores[0]
    limits = mapped.target.neurocore

    assert limits.memory_bits
    assert utilization(mapped, core) == max(
        7 / limits.compartments,
        160 / limits.synaptic_memory_bits,
        6 / limits.input_axons,
        (160 + 7 * limits.neuron_bits + 4 * limits.output_axon_bits)
        / limits.memory_bits,
    )


def test_the_figure_has_a_button_and_a_legend_for_each_coloring() -> None:
    markup = map_figure(on_two(), loads(1.0, 2.0))

    reader = Reader(markup)
    assert not reader.open
    assert reader.tags.count("input") == 4
    assert re.findall(r'g class="legend (\w+)"', markup) == [
        "layer", "use", "traffic", "busy"
    ]  # fmt: skip
    assert "neurocore 0 on tile 1, 2; layer: hidden (4)" in reader.text


@pytest.mark.parametrize("name", ["<b>&\"'", "2"])
def test_names_are_only_text(name: str) -> None:
    root = ElementTree.fromstring(map_file(network(name=name)))

    titles = [text.text or "" for text in root.iter(f"{SVG}text")]
    assert any(title.startswith(name) for title in titles)


def test_lines_say_what_passes_from_tile_to_tile() -> None:
    mapped = moved(on_two(), (0, 0), (2, 0))
    busy = Loads(
        packets=np.array([10.0, 10.0]),
        sent=np.array([10.0, 0.0]),  # the hidden layer's, to the output's
        injected=np.array([4.0, 0.0]),  # where the host is
        busy_s=np.ones(2),
    )

    flows = flows_of(mapped, busy)

    assert flows == {Link((0, 0), (1, 0)): 10.0, Link((1, 0), (2, 0)): 10.0}
    assert "0, 0 to 1, 0: 10 packets of an input" in map_figure(mapped, busy)
    assert 'class="flow"' not in map_file(mapped)
