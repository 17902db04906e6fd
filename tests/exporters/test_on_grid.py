"""as_graph: the compiled network comes back integer by integer, through files too."""

from pathlib import Path

import numpy as np
import pytest

from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.convert import write_integers
from snn_deploy.data.datasets import load_split
from snn_deploy.errors import ModelError
from snn_deploy.exporters.on_grid import as_graph
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.floating import evaluate
from snn_deploy.ir.graph import Training
from snn_deploy.ir.neurons import Reset
from snn_deploy.ir.nodes import AvgPool2d
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.scatter import Upsample2d
from snn_deploy.ir.stimuli import Encoding, Stimulus, encode
from snn_deploy.ir.synapses import SparseSynapses
from tests.build import (
    chain,
    conv,
    graph,
    lif,
    linear,
    rng,
    simulator,
    trains,
)
from tests.recording import record_reference

EVENTS = Training(timesteps=20, encoding=Encoding.EVENTS)


def compiled(name: str) -> QuantizedGraph:
    model = load_model(packaged_folder("models") / name / "model.pt")
    return compile_model(model, simulator()).graph


def check_same(found: QuantizedGraph, wanted: QuantizedGraph) -> None:
    """Compare what both do with a few inputs, and with the integers themselves."""
    training = wanted.training
    x = load_split("mnist5k").test.x[:2]
    for index, image in enumerate(x):
        stimulus = encode(image, training.encoding, training.timesteps, index=index)
        both = [
            record_reference(
                network,
                stimulus,
                ("spikes", "current", "voltage"),
                n_timesteps=training.timesteps,
            )
            for network in (found, wanted)
        ]
        rows = [
            {k: v for k, v in rows.items() if not k[0].endswith("_bias")}
            for rows in both
        ]
        names = [sorted({name for name, _ in r}) for r in rows]
        by_place = zip(*(sorted(r.items()) for r in rows), strict=True)
        assert len(names[0]) == len(names[1])
        for (_, mine), (key, theirs) in by_place:
            np.testing.assert_array_equal(mine, theirs, err_msg=str(key))


@pytest.mark.parametrize("name", ["mnist_lif", "mnist_qcfs", "mnist_counts"])
def test_compiled_again_it_is_the_same_network(name: str, tmp_path: Path) -> None:
    wanted = compiled(name)

    again = compile_model(as_graph(wanted), simulator()).graph
    write_integers(wanted, tmp_path / "net.pt")
    stored = compile_model(load_model(tmp_path / "net.pt"), simulator()).graph

    check_same(again, wanted)
    check_same(stored, wanted)


def test_nir_carries_every_integer(tmp_path: Path) -> None:
    wanted = compiled("mnist_lif")

    write_integers(wanted, tmp_path / "net.nir")

    check_same(
        compile_model(load_model(tmp_path / "net.nir"), simulator()).graph, wanted
    )


def test_nir_carries_layers_whose_last_rows_are_left_out(tmp_path: Path) -> None:
    pool = AvgPool2d(name="pool", shape=(2, 7, 8), kernel=(2, 3), stride=(2, 3))
    network = chain(
        conv("conv", (2, 13, 15), 2, dilation=(1, 2), stride=(2, 2), padding=(1, 2)),
        lif("lif", (2, 7, 8)),
        pool,
        conv("out", pool.output_shape, 2, seed=2),
        lif("end", pool.output_shape),
        training=EVENTS,
    )
    wanted = compile_model(network, simulator()).graph
    x = (rng(1).random((20, 2, 13, 15)) < 0.4).astype(np.int64)
    stimulus = Stimulus(values=x, is_constant=False)

    write_integers(wanted, tmp_path / "net.nir")

    found = compile_model(load_model(tmp_path / "net.nir"), simulator()).graph
    mine, theirs = (
        record_reference(g, stimulus, ("spikes", "voltage"), n_timesteps=20)
        for g in (found, wanted)
    )
    assert wanted.population("lif").shape == (2, 6, 6)
    assert theirs["lif", "spikes"].any()
    for key, expected in theirs.items():
        np.testing.assert_array_equal(mine[key], expected, err_msg=str(key))


def test_norse_spikes_as_the_chip_where_nothing_is_rounded(tmp_path: Path) -> None:
    import nir

    from tests.importers.nir_truth import in_norse

    neurons = {"voltage_decay": np.array(0.0), "threshold": np.array(1.0)}
    network = chain(
        conv("conv", (2, 6, 6), 3, padding=(0, 0)),
        lif("lif", (3, 4, 4), **neurons),
        conv("out", (3, 4, 4), 2, padding=(0, 0), seed=2),
        lif("end", (2, 2, 2), **neurons),
        training=EVENTS,
    )
    wanted = compile_model(network, simulator()).graph
    x = (rng(1).random((20, 2, 6, 6)) < 0.4).astype(np.int64)
    stimulus = Stimulus(values=x, is_constant=False)

    write_integers(wanted, tmp_path / "net.nir")

    rows = record_reference(wanted, stimulus, ("spikes",), n_timesteps=20)
    offset = wanted.readout.offset
    expected = rows["end", "spikes"][offset : offset + 20]
    np.testing.assert_array_equal(in_norse(nir.read(tmp_path / "net.nir"), x), expected)
    assert 0 < expected.sum() < expected.size


def test_delays_biases_and_resets_are_kept() -> None:
    nodes = [
        linear("fc", 6, 5),
        lif(
            "lif",
            (5,),
            current_decay=np.array(0.25),
            reset=Reset.SOFT,
            bias=np.array(0.05),
            axon_delay=np.array([0.0, 2, 1, 0, 3]),
        ),
        linear("out", 5, 3),
        lif("end", (3,)),
        linear("back", 3, 5, seed=5),
        linear("read", 3, 2),
    ]
    arrows = "input>fc:1 fc>lif lif>out out>end end>back:2 back>lif end>read"
    wanted = compile_model(
        graph(nodes, arrows, shape=(6,), training=EVENTS), simulator()
    ).graph
    x = (rng(2).random((20, 6)) < 0.5).astype(np.int64)
    stimulus = Stimulus(values=x, is_constant=False)

    again = compile_model(as_graph(wanted), simulator()).graph

    rows = [
        record_reference(network, stimulus, ("spikes", "voltage"), n_timesteps=20)
        for network in (again, wanted)
    ]
    for key in (("lif", "spikes"), ("end", "spikes"), ("read_sum", "voltage")):
        np.testing.assert_array_equal(rows[0][key], rows[1][key])
    assert rows[1]["end", "spikes"].any()


def test_the_float_graph_is_the_integers_where_nothing_is_rounded() -> None:
    network = chain(
        linear("fc", 6, 5),
        lif("lif", (5,), voltage_decay=np.array(0.0)),
        training=EVENTS,
    )
    wanted = compile_model(network, simulator()).graph
    x = (rng(2).random((20, 6)) < 0.5).astype(np.int64)
    stimulus = Stimulus(values=x, is_constant=False)

    found = evaluate(as_graph(wanted), [stimulus])[0]

    rows = record_reference(wanted, stimulus, ("spikes",), n_timesteps=20)
    np.testing.assert_array_equal(found, rows["lif", "spikes"][1:21])


def test_single_synapses_are_kept_but_in_nir(tmp_path: Path) -> None:
    up = Upsample2d(name="up", shape=(2, 3, 3), factor=(2, 2))
    before = chain(
        up, conv("conv", (2, 6, 6), 2), lif("lif", (2, 6, 6)), training=EVENTS
    )
    wanted = compile_model(before, simulator()).graph
    kinds = [type(p.synapses) for p in wanted.projections]
    assert kinds == [SparseSynapses]

    write_integers(wanted, tmp_path / "net.pt")

    found = compile_model(load_model(tmp_path / "net.pt"), simulator()).graph
    (ours,), (theirs,) = (n.projections for n in (found, wanted))
    assert isinstance(ours.synapses, SparseSynapses)
    np.testing.assert_array_equal(
        ours.synapses.dense((2, 3, 3)) << ours.exponent,
        theirs.synapses.dense((2, 3, 3)) << theirs.exponent,
    )
    rows = [
        record_reference(net, trains(1, 20, (2, 3, 3))[0], ("spikes",), n_timesteps=20)
        for net in (found, wanted)
    ]
    spikes = [row["lif", "spikes"] for row in rows]
    np.testing.assert_array_equal(spikes[0], spikes[1])
    with pytest.raises(ModelError, match="NIR has no SparseLinear; write"):
        write_integers(wanted, tmp_path / "net.nir")
