"""Run networks on SANA-FE, in its own environment (``make peers``).

    python sanafe_runner.py NETWORKS.json RESULTS.json

A cross-check only: SANA-FE (GPL) is called here as a program of its own, and no code of
it is part of snn-deploy. The input of a network lies on a neurocore of its own in tile
0, from which the host sends; so does a sink, to which spikes that are read out go.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

HOPS = {"east": "ew", "west": "ew", "north": "ns", "south": "ns"}
SOMA = ("access_neuron", "update_neuron", "spike_out")
TILES, HEIGHT, CORES_PER_TILE = 32, 4, 4


def architecture(prices: dict[str, float], barrier_s: float, n_inputs: int) -> str:
    """Return a mesh whose first tile is the host's, which takes no time."""
    hops = ", ".join(
        f"{what}_{way}_hop: {prices[f'{what}_hop_{axis}']!r}"
        for way, axis in HOPS.items()
        for what in ("energy", "latency")
    )
    inputs = "".join(
        f"\n            - {{name: in{i}, attributes: {{model: input, {_soma({})}}}}}"
        for i in range(n_inputs)
    )
    free = {k: 0.0 for k in prices if k != "energy_message_out"}
    host = {**free, "energy_message_out": prices["energy_message_out"]}
    return f"""architecture:
  name: peer
  attributes: {{topology: mesh, width: {TILES // HEIGHT}, height: {HEIGHT},
               link_buffer_size: 16, sync_model: fixed, latency_sync: {barrier_s!r}}}
  tile:
    - name: host
      attributes: {{{hops}}}
      core:
{_core("host_core", host, inputs)}
    - name: tile[0..{TILES - 2}]
      attributes: {{{hops}}}
      core:
{_core(f"core[0..{CORES_PER_TILE - 1}]", prices, "")}
"""


def _core(name: str, prices: dict[str, float], inputs: str) -> str:
    soma = _soma(prices)

    def part(what: str, more: str = "") -> str:
        e, t = prices.get(f"energy_{what}", 0.0), prices.get(f"latency_{what}", 0.0)
        return f"{{{more}energy_{what}: {e!r}, latency_{what}: {t!r}}}"

    synapse = part("process_spike", "model: current_based, ")
    return f"""        - name: {name}
          attributes: {{buffer_position: soma, buffer_inside_unit: false,
                       max_neurons_supported: 1024}}
          axon_in:
            - {{name: ax_in, attributes: {part("message_in")}}}
          synapse:
            - {{name: syn, attributes: {synapse}}}
          dendrite:
            - {{name: acc, attributes: {part("update", "model: accumulator, ")}}}
          soma:
            - {{name: lif, attributes: {{model: leaky_integrate_fire, {soma}}}}}
            - {{name: tn, attributes: {{model: truenorth, {soma}}}}}{inputs}
          axon_out:
            - {{name: ax_out, attributes: {part("message_out")}}}"""


def _soma(prices: dict[str, float]) -> str:
    return ", ".join(
        f"{what}_{event}: {prices.get(f'{what}_{event}', 0.0)!r}"
        for event in SOMA
        for what in ("energy", "latency")
    )


def soma_of(population: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the unit and the attributes that compute as the chip's neuron."""
    threshold, decay = float(population["threshold"]), population["voltage_decay"]
    attributes: dict[str, Any] = {"reset_mode": population["reset"], "reset": 0.0}
    if population["comparison"] == ">=" and population["reset"] == "soft":
        assert decay == 0
        quiet = {"leak": 0.0, "reverse_reset_mode": "none", "threshold": threshold}
        return "tn", {**attributes, **quiet}
    if population["comparison"] == ">=":  # voltages are multiples of 1/64
        threshold -= 1 / 64
    leak = {"leak_decay": (4096 - decay) / 4096, "input_decay": 0.0}
    return "lif", {**attributes, **leak, "threshold": threshold}


def run(case: dict[str, Any], timing: str) -> dict[str, Any]:
    """Return what SANA-FE counts, and what it makes of it."""
    import sanafe

    spikes = case["spikes"]
    n_inputs = len(spikes[0])
    text = architecture(case["prices"], case["barrier_s"], n_inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "arch.yaml"
        path.write_text(text)
        arch = sanafe.load_arch(str(path))
    cores = arch.cores()
    net = sanafe.Network()
    units = {"default_synapse_hw_name": "syn", "default_dendrite_hw_name": "acc"}
    groups = {
        "input": net.create_neuron_group("input", n_inputs, log_spikes=True, **units)
    }
    for i in range(n_inputs):
        train = [bool(row[i]) for row in spikes]
        groups["input"][i].set_attributes(
            soma_hw_name=f"in{i}", model_attributes={"spikes": train}
        )
        groups["input"][i].map_to_core(cores[0])
    sink = {"threshold": 1e9, "voltage_decay": 0, "reset": "hard", "comparison": ">"}
    places = {"name": "sink", "cores": [0], **sink}
    for population in (*case["populations"], places):
        unit, attributes = soma_of(population)
        name = population["name"]
        group = net.create_neuron_group(
            name, len(population["cores"]), attributes, soma_hw_name=unit,
            log_spikes=True, **units,
        )  # fmt: skip
        for neuron, core in enumerate(population["cores"]):
            # behind the host's one neurocore, of tile 0
            group[neuron].map_to_core(cores[core - CORES_PER_TILE + 1 if core else 0])
        groups[name] = group
    for projection in case["projections"]:
        edges = [(source, target) for source, target, _ in projection["synapses"]]
        weights = [float(weight) for _, _, weight in projection["synapses"]]
        groups[projection["source"]].connect_neurons_sparse(
            groups[projection["target"]], {"w": weights}, edges
        )
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    found = chip.sim(
        len(spikes), timing_model=timing, spike_trace=True, perf_trace=True,
        processing_threads=1,
    )  # fmt: skip
    perf = found["perf_trace"]
    trace = [
        sorted((a.group_name, a.neuron_offset) for a in fired)
        for fired in found["spike_trace"]
    ]
    return {
        "spikes": trace,
        "packets": int(found["packets_sent"]),
        "per_timestep": {
            key: [float(x) for x in perf[key]]
            for key in (
                "spikes",
                "hops",
                "updated",
                "fired",
                "total_energy",
                "sim_time",
            )
        },
        "energy_j": float(found["energy"]["total"]),
        "latency_s": float(found["sim_time"]),
    }


def main() -> None:
    """Run every network with both kinds of timing."""
    source, target = map(Path, sys.argv[1:])
    cases = json.loads(source.read_text())
    found = [{timing: run(case, timing) for timing in ("simple", "detailed")}
             for case in cases]  # fmt: skip
    target.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
