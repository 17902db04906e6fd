"""read_nir: differential equations become timesteps, or a refusal."""

from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from snn_deploy.errors import ModelError
from snn_deploy.importers.nir import read_nir
from snn_deploy.ir.floating import evaluate
from snn_deploy.spikes import Stimulus
from tests.build import rng

DT = 1e-3


def lif(n: int, **changes: Any) -> nir.LIF:
    settings: dict[str, Any] = {
        "tau": np.full(n, 0.02),
        "r": np.full(n, 2.0),
        "v_leak": np.zeros(n),
        "v_threshold": np.full(n, 0.1),
        "v_reset": np.zeros(n),
    }
    return nir.LIF(**{**settings, **changes})


def cuba(n: int) -> nir.CubaLIF:
    return nir.CubaLIF(
        tau_mem=np.full(n, 0.02),
        tau_syn=np.full(n, 0.01),
        r=np.full(n, 3.0),
        v_leak=np.zeros(n),
        v_threshold=np.full(n, 0.1),
        v_reset=np.zeros(n),
        w_in=np.full(n, 1.5),
    )


def written(path: Path, *layers: nir.NIRNode) -> Path:
    nir.write(str(path), nir.NIRGraph.from_list(*layers, type_check=False))
    return path


def trains(n: int) -> np.ndarray[Any, Any]:
    return (rng(2).random((40, n)) < 0.4).astype(np.int64)


def test_lif_and_cuba_lif_are_forward_euler(tmp_path: Path) -> None:
    weight = rng(1).normal(size=(3, 5))
    first = nir.Affine(weight=weight, bias=np.array([0.1, 0.0, -0.1]))
    second = nir.Linear(weight=rng(2).normal(size=(2, 3)))
    path = written(tmp_path / "a.nir", first, lif(3), second, cuba(2))
    spikes = trains(5)

    graph = read_nir(path, dt=DT, timesteps=40)
    found = evaluate(graph, [Stimulus(values=spikes, is_constant=False)])[0]

    v1, i2, v2 = np.zeros(3), np.zeros(2), np.zeros(2)
    for t in range(40):
        v1 = v1 + DT / 0.02 * (-v1 + 2 * (weight @ spikes[t] + first.bias))
        s1 = v1 > 0.1
        v1 = np.where(s1, 0, v1)
        i2 = i2 + DT / 0.01 * (-i2 + 1.5 * (second.weight @ s1))
        v2 = v2 + DT / 0.02 * (-v2 + 3 * i2)
        s2 = v2 > 0.1
        v2 = np.where(s2, 0, v2)
        np.testing.assert_array_equal(found[t], s2)
    assert found.any()


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (lif(3, v_leak=np.ones(3)), "v_leak is 1, only 0 can be deployed"),
        (lif(3, v_reset=np.full(3, 0.5)), "v_reset is 0.5, only 0 can be deployed"),
        (nir.Delay(delay=np.ones(3)), "NIR's Delay cannot be deployed"),
        (nir.Threshold(threshold=np.ones(3)), "NIR's Threshold cannot be deployed"),
    ],
)
def test_what_has_no_counterpart_is_refused(
    tmp_path: Path, node: nir.NIRNode, message: str
) -> None:
    first = nir.Affine(weight=np.eye(3), bias=np.zeros(3))

    with pytest.raises(ModelError, match=message):
        read_nir(written(tmp_path / "a.nir", first, node))


def test_a_timestep_longer_than_a_time_constant_is_refused(tmp_path: Path) -> None:
    first = nir.Affine(weight=np.eye(3), bias=np.zeros(3))

    with pytest.raises(ModelError, match="is the timestep longer than a time constant"):
        read_nir(written(tmp_path / "a.nir", first, lif(3)), dt=0.1)


def test_files_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nir").write_text("no network")

    with pytest.raises(ModelError, match="not a NIR file"):
        read_nir(tmp_path / "text.nir")
    with pytest.raises(ModelError, match="no such file"):
        read_nir(tmp_path / "missing.nir")
