"""Sequences of different length: each input runs for its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.arrays import AnyArray
from snn_deploy.backends.protocol import Backend
from snn_deploy.backends.registry import open_backend
from snn_deploy.backends.results import RunResult
from snn_deploy.cli import main
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.errors import BackendError, DataError
from snn_deploy.front.inputs import as_data
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.profile.rows import COLUMNS
from snn_deploy.verify.crosscheck import cross_check

snntorch = pytest.importorskip("snntorch")

N, T, N_IN, N_OUT = 40, 8, 6, 3
RNG = np.random.default_rng(1)
SPIKES = (RNG.random((N, T, N_IN)) < 0.6).astype(np.uint8)
LENGTHS = RNG.integers(1, T + 1, N)
DATA = {"spikes": SPIKES, "lengths": LENGTHS}
OPTIONS: dict[str, Any] = {"input_shape": (N_IN,), "encoding": "events"}


def module() -> nn.Module:
    torch.manual_seed(3)
    layers = []
    for n_in, n_out in ((N_IN, 12), (12, N_OUT)):
        layers += [nn.Linear(n_in, n_out)]
        layers += [snntorch.Leaky(beta=0.5, threshold=0.3, init_hidden=True)]
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def net() -> sd.Network:
    return sd.compile(module(), timesteps=T, **OPTIONS)


def alone(network: MappedNetwork, i: int) -> RunResult:
    """Return what an input gives to a network that runs for its length only."""
    short = network.lasting(int(LENGTHS[i]))
    program = open_backend("cpu").load(short)
    stimulus = Stimulus(values=SPIKES[i, : LENGTHS[i]], is_constant=False)
    (found,) = run_inputs(program, short, [(i, stimulus)], never)
    return found


def test_each_input_runs_for_its_own_length_on_every_backend(net: sd.Network) -> None:
    network = net.artifact.network
    data = as_data(DATA, None, network.graph)

    for name in ("cpu", "reference", "lava"):
        try:
            program = open_backend(name).load(network)
        except BackendError as error:
            pytest.skip(str(error))
        n = 3 if name == "lava" else N
        for found in run_inputs(program, network, data.stimuli(n), never):
            expected = alone(network, found.index)
            assert found.timesteps == LENGTHS[found.index]
            assert not found.stopped_early
            np.testing.assert_array_equal(found.scores, expected.scores)
        program.close()
    assert "equal outputs" in cross_check(net.artifact, data, None, 2)


def profiled(net: sd.Network, backend: Backend, x: Any, **options: Any) -> Profile:
    data = as_data(x, None, net.artifact.network.graph)
    calibration = net.calibration
    return profile_inputs(
        net.artifact,
        backend,
        data,
        cutoff=None if calibration is None else calibration.cutoff,
        calibration=calibration,
        has_rivals=True,
        **options,
    )


@pytest.mark.parametrize("rule", ["risk", "retry"])
def test_profiles_of_the_engine_and_of_numpy_are_equal(rule: str) -> None:
    net = sd.compile(module(), timesteps=T, **OPTIONS)
    at = {"at": 3} if rule == "retry" else {}
    net.calibrate(DATA, rule=rule, budget=0.2, progress=False, **at)

    mine, theirs = (
        profiled(net, open_backend(name), DATA) for name in ("cpu", "reference")
    )

    assert {*mine.runs} == {*theirs.runs}
    for schedule, rows in mine.runs.items():
        for column in COLUMNS:
            np.testing.assert_array_equal(
                rows.column(column), theirs.runs[schedule].column(column), column
            )
    np.testing.assert_array_equal(mine.totals.values, theirs.totals.values)
    np.testing.assert_array_equal(mine.agreement_at, theirs.agreement_at)
    early, full = (mine.runs[s] for s in (Schedule.CUTOFF, Schedule.SERIAL))
    assert full.column("timesteps").tolist() == LENGTHS.tolist()
    assert not full.column("stopped_early").any()
    over = LENGTHS <= 3
    if rule == "retry":  # no input that is over starts again
        assert (early.column("timesteps")[over] == LENGTHS[over]).all()
        assert not early.column("stopped_early")[over].any()
    assert net.calibration is not None
    seen = early.column("timesteps").mean()
    assert net.calibration.mean_timesteps == pytest.approx(seen)


def test_a_stream_of_short_inputs_costs_what_they_do(net: sd.Network) -> None:
    rows = profiled(net, open_backend("cpu"), DATA).runs[Schedule.STREAMED]
    one_length = profiled(net, open_backend("cpu"), SPIKES).runs[Schedule.STREAMED]

    assert rows.column("chip_timesteps").tolist() == LENGTHS.tolist()
    assert (rows.column("synaptic_operations") <= one_length.column(
        "synaptic_operations")).all()  # fmt: skip
    alike = {**DATA, "lengths": np.full(N, 5)}
    short = replace(net.artifact, network=net.artifact.network.lasting(5))
    expected = profiled(sd.Network(short), open_backend("cpu"), SPIKES[:, :5])
    found = profiled(net, open_backend("cpu"), alike)
    for column in ("synaptic_operations", "latency_s", "period_s", "prediction"):
        np.testing.assert_array_equal(
            found.runs[Schedule.STREAMED].column(column),
            expected.runs[Schedule.STREAMED].column(column),
            column,
        )


def test_blocks_of_a_profile_do_not_change_a_stream(
    net: sd.Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = profiled(net, open_backend("cpu"), DATA)
    monkeypatch.setattr("snn_deploy.profile.meter.BATCH", 3)

    parts = profiled(net, open_backend("cpu"), DATA)

    for column in ("latency_s", "period_s", "energy_static_j"):
        one, other = (p.runs[Schedule.STREAMED].column(column) for p in (whole, parts))
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(whole.totals.values, parts.totals.values)


def test_what_lies_behind_the_end_is_left_out(net: sd.Network) -> None:
    graph = net.artifact.network.graph
    behind = np.arange(T) >= LENGTHS[:, np.newaxis]
    other = np.where(behind[..., np.newaxis], 1, SPIKES)

    data, same = (
        as_data({"spikes": s, "lengths": LENGTHS}, None, graph) for s in (SPIKES, other)
    )

    assert data.sha256 == same.sha256
    assert data.hashes.tolist() == same.hashes.tolist()
    assert data.sha256 != as_data(data.x, None, graph).sha256


@pytest.mark.parametrize("form", ["mask", "list", "labelled list", "data set"])
def test_lengths_may_be_said_in_other_forms(net: sd.Network, form: str) -> None:
    graph = net.artifact.network.graph
    expected = as_data(DATA, None, graph)
    labels = [0] * N
    some = [s[:length] for s, length in zip(SPIKES, LENGTHS, strict=True)]
    forms: dict[str, tuple[Any, Any]] = {
        "mask": ({"X": SPIKES, "mask": np.arange(T) < LENGTHS[:, np.newaxis]}, None),
        "list": (some, None),
        "labelled list": (some, labels),
        "data set": (list(zip(map(torch.tensor, some), labels, strict=True)), None),
    }

    found = as_data(*forms[form], graph)

    assert found.ends.tolist() == LENGTHS.tolist()
    assert found.sha256 == expected.sha256


def test_verify_compares_each_input_up_to_its_end(net: sd.Network) -> None:
    found = net.verify({**DATA, "y": np.zeros(N, int)}, progress=False)

    assert found.is_faithful
    expected = [alone(net.artifact.network, i).prediction == 0 for i in range(N)]
    (chip,) = (form for form in found.forms if form.form == "chip")
    assert chip.accuracy == pytest.approx(np.mean(expected))


def test_the_command_line_takes_lengths(
    net: sd.Network, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, snn = tmp_path / "data.npz", str(tmp_path / "net.snn")
    np.savez(path, y=np.zeros(N, int), spikes=SPIKES, lengths=LENGTHS)
    net.save(snn)

    assert main(["calibrate", snn, "--data", str(path), "--budget", "0.2"]) == 0
    assert main(["run", snn, "--data", str(path), "--index", "0,1"]) == 0
    assert main(["profile", snn, "--data", str(path), "-o", str(tmp_path / "p")]) == 0
    capsys.readouterr()


def with_mask(mask: AnyArray) -> dict[str, AnyArray]:
    return {"spikes": SPIKES, "mask": mask}


FULL = np.ones((N, T))
GAP = FULL.copy()
GAP[4, 2] = 0


@pytest.mark.parametrize(
    ("x", "words"),
    [
        ({**DATA, "lengths": LENGTHS[1:]}, r"store integers of shape \(40,\)"),
        ({**DATA, "lengths": LENGTHS * 1.0}, "lengths is float64"),
        ({**DATA, "lengths": LENGTHS - 1}, "lengths reach from 0 to"),
        ({**DATA, "lengths": np.full(N, 9)}, "to 9, and inputs have 1 to 8 timesteps"),
        (with_mask(GAP), "mask has a 1 behind a 0 in input 4"),
        (with_mask(FULL[1:]), "store 1 where an input lasts and 0 behind"),
        (with_mask(FULL * 0), "mask has no 1 in input 0"),
        ({**DATA, "mask": FULL}, "both lengths and mask; leave one out"),
        ([SPIKES[0], SPIKES[1, :, :4]], "give inputs of one shape, or sequences"),
    ],
)
def test_lengths_that_inputs_cannot_have_are_refused(
    net: sd.Network, x: Any, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        net.profile(x, progress=False)


def test_lengths_beyond_the_network_name_the_option(net: sd.Network) -> None:
    longer = np.concatenate([SPIKES, SPIKES], axis=1)
    with pytest.raises(DataError, match=r"reaches to 11, .* with --timesteps 11"):
        net.profile({"spikes": longer, "lengths": LENGTHS * 0 + 11}, progress=False)


def test_c_is_not_checked_with_inputs_that_end_before_it(
    net: sd.Network, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="snn_decide in C runs up to 8"):
        net.to_c(tmp_path / "c", DATA)

    net.to_c(tmp_path / "c", {"spikes": SPIKES, "lengths": np.full(N, T)})


def test_values_that_never_change_have_no_length() -> None:
    values = sd.compile(module(), timesteps=T, input_shape=(N_IN,))
    x = np.zeros((N, N_IN))
    with pytest.raises(DataError, match="has lengths, and x is the same at every"):
        values.profile({"x": x, "lengths": LENGTHS}, progress=False)


@pytest.mark.parametrize("options", [(), ("--chip-time",), ("--backend", "reference")])
def test_a_recording_ends_with_its_input(
    net: sd.Network, tmp_path: Path, options: tuple[str, ...]
) -> None:
    net.save(tmp_path / "net.snn")
    np.savez(tmp_path / "all.npz", spikes=SPIKES[:4], lengths=LENGTHS[:4])
    np.savez(tmp_path / "whole.npz", spikes=SPIKES[:4])

    def record(data: str, *more: str) -> dict[str, AnyArray]:
        files = [str(tmp_path / "net.snn"), "--data", str(tmp_path / data)]
        where = ["-o", str(tmp_path / "trace.npz")]
        what = ["--record", "spikes,voltage"]
        assert main(["run", *files, *what, *where, *options, *more]) == 0
        return dict(np.load(tmp_path / "trace.npz"))

    found, whole, one = (
        record("all.npz"),
        record("whole.npz"),
        record("all.npz", "--index", "2"),
    )

    assert LENGTHS[:4].min() < T
    for name, rows in found.items():
        offset = net.artifact.network.graph.offset_of(name.partition("/")[0])
        for i, length in enumerate(LENGTHS[:4]):
            end = length + offset * ("--chip-time" in options)
            np.testing.assert_array_equal(rows[i, :end], whole[name][i, :end])
            assert not rows[i, end:].any()
        np.testing.assert_array_equal(one[name][0], rows[2])
    assert any(
        whole[name][i, n:].any() for name in whole for i, n in enumerate(LENGTHS[:4])
    )
