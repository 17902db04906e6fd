"""Placements: a network lies as a file says, and a file says how a network lies."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snn_deploy.arrays import three_axes
from snn_deploy.chip.target import Target
from snn_deploy.chip.target_file import target_from_table
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.compiler.map.loads import LoadModel
from snn_deploy.compiler.map.pack import pack
from snn_deploy.compiler.map.partition import Partition, partition
from snn_deploy.compiler.map.place import laid_out, place
from snn_deploy.compiler.map.placement import (
    AXES,
    LayerPlacement,
    Placement,
    cut_by,
    placement_text,
    read_placement,
    slots_by,
)
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.errors import DataError, FitError, PassError
from snn_deploy.ir.mapped import MappedNetwork, Neurocore
from snn_deploy.ir.quantized import QuantizedGraph
from tests.build import chain, conv, integers, lif, population, simulator
from tests.build import dense as dense_projection
from tests.compiler.checker import Checker
from tests.compiler.test_checked import chips, table
from tests.compiler.test_pack import TARGET, graph
from tests.conformance.networks import Case, cases
from tests.conformance.tally import TALLY, examples


def laid(placement: Placement, graph: QuantizedGraph, target: Target) -> MappedNetwork:
    cut = cut_by(placement, graph, target)
    slots = slots_by(placement, target, len(cut.together))
    return place(cut, target) if slots is None else laid_out(cut, target, slots)


def written(text: str, folder: Path) -> Placement:
    path = folder / "places.toml"
    path.write_text(text, encoding="utf-8")
    return read_placement(path)


def shown(cores: tuple[Neurocore, ...]) -> list[Any]:
    """Return all that is in them."""
    return [
        (
            core.index,
            (core.x, core.y),
            [
                (p.population, p.neurons.tolist(), p.synapse_bits, p.n_input_axons,
                 p.n_output_axons)
                for p in core.pieces
            ],
        )
        for core in cores
    ]  # fmt: skip


def sizes(draw: Any, size: int) -> tuple[int, ...]:
    """Draw the sizes of up to five bands that fill an axis."""
    most = min(size - 1, 4)
    ends = draw(st.sets(st.integers(1, max(size - 1, 1)), max_size=most))
    return tuple(np.diff([0, *sorted(ends), size]).tolist())


@st.composite
def placements(draw: Any, graph: QuantizedGraph) -> Placement:
    """Draw how every layer is cut."""
    layers = []
    for one in graph.populations:
        axes = zip(AXES, three_axes(one.shape), strict=True)
        bands = {axis: sizes(draw, size) for axis, size in axes}
        layers.append(LayerPlacement(name=one.name, **bands))
    return Placement(layers=tuple(layers))


@given(
    case=cases(max_timesteps=3, may_be_long=False),
    chip=chips(),
    reads_zeros=st.booleans(),
    data=st.data(),
)
@examples(60)
def test_what_blocks_of_any_sizes_take_is_counted_as_the_checker_counts(
    case: Case, chip: dict[str, Any], reads_zeros: bool, data: st.DataObject
) -> None:
    chip["neurocore"]["reads_zeros"] = reads_zeros
    chip["mesh"] |= {"height": 9, "width": 9, "neurocores_per_tile": 9}
    chip["mesh"]["neurocores"] = 729
    limits = ("compartments", "synaptic_memory_bits", "input_axons", "output_axons",
              "memory_bits", "fan_in", "fan_out")  # fmt: skip
    chip["neurocore"] |= {x: 1 << 30 for x in limits if x in chip["neurocore"]}
    target = target_from_table(chip, "drawn.toml")
    graph = retime(case.graph, target)

    cut = cut_by(data.draw(placements(graph)), graph, target)
    network = place(cut, target)

    assert [*Checker(network, chip).problems()] == []
    routes = network.routes
    reads = sum(r.kinds.n_neurons @ r.operations for r in routes.values())
    loads = LoadModel(graph=graph, target=target)
    for one in graph.populations:
        lies_on = [c.index for c in network.cores if c.pieces[0].population == one.name]
        parts = [
            loads.part(sender, one, cut.cuts[one.name]).count_synapses()
            for sender in loads.senders(one)
        ]
        np.testing.assert_array_equal(np.sum(parts, axis=0), reads[lies_on])
    TALLY.add("placed networks = checker", 0, len(network.cores))


def mapped(cut: Partition) -> MappedNetwork:
    return place(cut, TARGET)


@pytest.mark.parametrize(
    "network",
    [
        mapped(partition(graph(), TARGET)),
        mapped(partition(graph(), TARGET, at_least={"one": 6, "two": 5})),
        mapped(pack(partition(graph(), TARGET), TARGET)),
        mapped(pack(partition(graph(), TARGET, at_least={"one": 7}), TARGET)),
    ],
    ids=["alone", "fine", "shared", "fine and shared"],
)
def test_the_file_of_a_network_gives_the_same_network(
    network: MappedNetwork, tmp_path: Path
) -> None:
    placement = written(placement_text(network), tmp_path)

    found = laid(placement, network.graph, TARGET)

    assert shown(found.cores) == shown(network.cores)


def test_one_size_is_repeated_and_an_axis_left_out_stays_whole(tmp_path: Path) -> None:
    text = """
        [[layer]]
        name = "one"
        columns = 3
        [[layer]]
        name = "two"
        channels = [1]
        rows = [3, 1]
        [[layer]]
        name = "three"
    """

    cut = cut_by(written(text, tmp_path), graph(), TARGET)

    found = [(p.population, len(p.neurons)) for p in cut.pieces]
    assert found == [
        ("one", 96), ("one", 96), ("one", 64),
        ("two", 12), ("two", 4), ("two", 12), ("two", 4), ("three", 48),
    ]  # fmt: skip
    assert cut.pieces[2].neurons[:3].tolist() == [6, 7, 14]  # columns 6 and 7
    assert cut.pieces[5].neurons.tolist() == list(range(16, 28))


WHOLE = '[[layer]]\nname = "one"\nrows = 4\n[[layer]]\nname = "two"\n'
THREE = WHOLE + '[[layer]]\nname = "three"\n'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (WHOLE + '[[layer]]\nname = "tree"', "tree: the network has no such layer; "
         "did you mean 'three'?"),
        (WHOLE, "three: nothing says where it lies; add a [[layer]] for it"),
        (THREE + '[[layer]]\nname = "two"', "two: has 2 tables; give one"),
        (THREE + "rows = [3, 2]", "three: bands of 5 rows in all, it has 4; give sizes "
         "that sum to that, or a single one to repeat"),
        (THREE + "channels = 5", "three: bands of 5 channels in all, it has 3"),
        (THREE + "neurocores = [0]", "one: 2 blocks, but 0 neurocores; give one for "
         "each block of every layer"),
        (THREE.replace("rows = 4", "neurocores = [0]").replace(
            '"two"', '"two"\nneurocores = [1]') + "neurocores = [3]",
         "neurocore 2 holds nothing; number those in use from 0"),
        ("x = [0, 0, 0, 0]\n" + THREE, "'y' has 0 numbers for 4 neurocores"),
        ("x = [0, 0, 0, 8]\ny = [0, 0, 0, 0]\n" + THREE, "neurocore 3 lies on tile 8, "
         "0; loihi-sim has 8 x 4, counted from 0"),
        ("x = [5, 5, 5, 5]\ny = [1, 1, 1, 1]\n" + THREE, "4 neurocores on tile 5, 1, "
         "allowed are 3; move some"),
    ],
)  # fmt: skip
def test_a_placement_that_cannot_be_is_refused_with_its_place(
    text: str, message: str, tmp_path: Path
) -> None:
    mesh = replace(TARGET.mesh, neurocores_per_tile=3, neurocores=90)
    target = replace(TARGET, mesh=mesh, board=replace(TARGET.board, height=1, width=1))

    with pytest.raises(DataError) as caught:
        laid(written(text, tmp_path), graph(), target)

    assert message in str(caught.value)
    assert str(caught.value).startswith("placement: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[layer]]\nrows = 3", "[layer.0]: has no 'name'; add it"),
        ('[[layer]]\nname = "a"\nrow = 3', "unknown key 'row'; did you mean 'rows'?"),
        ('[[layer]]\nname = "a"\nrows = [0]', "'rows' is [0]; give a list of whole"),
        ('[[layer]]\nname = "a"\nrows = "x"', "'rows' is 'x'; give a list of whole"),
        ("layer = 3", "'layer' is not a list of tables; write [[layer]]"),
        ("x = [-1]\nlayer = []", "'x' is [-1]; give a list of whole numbers, 0 or"),
    ],
)
def test_a_file_of_another_form_is_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        written(text, tmp_path)

    assert message in str(caught.value)


def small(
    placement: Placement, *, optimize: str | None = None, compartments: int = 100
) -> MappedNetwork:
    layers = chain(
        conv("a", (1, 4, 4), 2),
        lif("one", (2, 4, 4)),
        conv("b", (2, 4, 4), 3),
        lif("two", (3, 4, 4)),
    )
    target = simulator()
    limits = replace(target.neurocore, compartments=compartments)
    target = replace(target, neurocore=limits)
    return compile_model(layers, target, optimize=optimize, placement=placement)


def test_compile_lays_out_as_the_placement_says_or_tells_what_is_over() -> None:
    placement = Placement(
        layers=(LayerPlacement(name="one", rows=(1,)), LayerPlacement(name="two"))
    )

    assert len(small(placement).cores) == 5
    with pytest.raises(FitError) as caught:
        small(placement, compartments=7)
    assert "; cut these layers finer in the placement\n" in str(caught.value)
    assert "one: 8 compartments, on 4 neurocores, allowed are 7" in str(caught.value)
    with pytest.raises(PassError, match="leave 'cores' or the placement out"):
        small(placement, optimize="cores")


def test_neurons_that_lie_in_no_blocks_cannot_be_said() -> None:
    graph = integers(
        [population("a", (4,))],
        [dense_projection("input", "a", np.ones((4, 3)))],
        shape=(3,),
    )
    network = place(partition(graph, target_from_table(table(), "t")), simulator())
    (core,) = network.cores
    (piece,) = core.pieces
    odd, even = (
        replace(core, index=i, pieces=(replace(piece, neurons=piece.neurons[i::2]),))
        for i in (0, 1)
    )

    with pytest.raises(DataError, match="a: its neurons do not lie in blocks"):
        placement_text(replace(network, cores=(odd, even)))
