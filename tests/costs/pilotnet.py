"""PilotNet LIF as Intel ran it on Loihi 2: what happens in each timestep of a frame.

The frame was silent: the notebook sets ``neuron.bias``, of which the input's neurons
know nothing. It repeats without end, and each layer is reset after its 16 timesteps, so
that timestep ``t`` of all frames is alike. The counts are recorded beside this file, a
row for each kind of neurocores that do the same; ``test_pilotnet`` holds them to the
network itself, where it lies beside a checkout.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.events import CHIP_EVENTS, CORE_EVENTS
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.map.placement import read_placement
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.mapped import MappedNetwork
from tests.conformance.test_recorded_traces import SHARED, silence

HERE = Path(__file__).parent
NETWORK = SHARED / "lava_pilotnet_lif" / "network.net"
COUNTS = HERE / "pilotnet_counts.json"
N_TIMESTEPS = 16  # of a frame


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """Counts of a frame among others, by timestep."""

    layers: tuple[str, ...]  # of each neurocore
    cores: IntArray  # (16, n_cores, n_core_events)
    chip: IntArray  # (16, n_chip_events)

    def of(self, layer: str) -> IntArray:
        """Return the counts of a layer's neurocores."""
        return self.cores[:, [name == layer for name in self.layers]]


def on_74_neurocores() -> MappedNetwork:
    """Return the network as Intel laid it out."""
    placement = read_placement(HERE / "pilotnet_on_74.toml")
    model = load_model(NETWORK)
    return compile_model(model, read_target("loihi2"), placement=placement)


def counted(network: MappedNetwork) -> Frame:
    """Return what the engine counts, all frames on their way together."""
    program = open_backend("cpu").load(network)
    stimulus = silence((3, 66, 200), np.zeros((200, 66, 3)))
    (result,) = run_inputs(program, network, [(0, stimulus)], never)
    cores, chip = (_together(counts) for counts in result.activity.streamed)
    layers = tuple(core.pieces[0].population for core in network.cores)
    return Frame(layers=layers, cores=cores, chip=chip)


def _together(counts: IntArray) -> IntArray:
    """Return the sum over frames that began 16 timesteps apart."""
    n_frames = -(-len(counts) // N_TIMESTEPS)
    rows = np.zeros((n_frames * N_TIMESTEPS, *counts.shape[1:]), np.int64)
    rows[: len(counts)] = counts
    return np.asarray(rows.reshape(n_frames, N_TIMESTEPS, *counts.shape[1:]).sum(0))


def as_text(frame: Frame) -> str:
    """Return counts as a file holds them: neurocores of a layer that do the same."""
    kinds: dict[tuple[str, bytes], list[int]] = {}
    for index, layer in enumerate(frame.layers):
        kinds.setdefault((layer, frame.cores[:, index].tobytes()), []).append(index)
    rows = [
        {
            "layer": layer,
            "neurocores": len(alike),
            **_named(CORE_EVENTS, frame.cores[:, alike[0]]),
        }
        for (layer, _), alike in kinds.items()
    ]
    lines = ",\n".join(
        json.dumps(row) for row in [*rows, _named(CHIP_EVENTS, frame.chip)]
    )
    return f"[\n{lines}\n]\n"


def _named(events: tuple[str, ...], counts: IntArray) -> dict[str, list[int]]:
    """Return the counts of events that happen, by name."""
    rows = dict(zip(events, counts.T.tolist(), strict=True))
    return {name: row for name, row in rows.items() if any(row)}


def recorded() -> Frame:
    """Return the counts that are recorded."""
    *kinds, chip = json.loads(COUNTS.read_text(encoding="utf-8"))
    alike = [kind["neurocores"] for kind in kinds]
    layers = [kind["layer"] for kind in kinds]
    cores = np.stack([_array(CORE_EVENTS, kind) for kind in kinds], axis=1)
    return Frame(
        layers=tuple(np.repeat(layers, alike).tolist()),
        cores=np.repeat(cores, alike, axis=1),
        chip=_array(CHIP_EVENTS, chip),
    )


def _array(events: tuple[str, ...], named: dict[str, Any]) -> IntArray:
    nothing = [0] * N_TIMESTEPS
    return np.array([named.get(name, nothing) for name in events]).T
