"""Run a ``.net`` file with lava-dl's netx in Lava's simulator, input after input.

    snn-deploy compile models/mnist_netx/model.pt --target loihi2-netx -o net.snn
    snn-deploy convert net.snn net.net
    python examples/run_netx.py net.net digits.npz
    python examples/run_netx.py net.net digits.npz --gap 3

``digits.npz`` holds inputs ``x``, and labels ``y`` if there are some. With ``--gap``
the host ends an input as soon as its best output leads by more spikes than that. It
needs lava-nc, lava-dl and torch. For the chip itself see docs/guides/netx.md: the
network and its resets are the same, what feeds and reads it is Intel's.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import AnyArray, IntArray
from snn_deploy.backends.lava.compat import forking, import_netx
from snn_deploy.data.data import read_data
from snn_deploy.importers.hdf5 import read_hdf5
from snn_deploy.importers.registry import load_model


class Host:
    """A network in netx, a source that sends and a sink that keeps the spikes.

    The first layer receives what is sent one timestep later, the others one after
    another: the outputs come as many timesteps later as there are layers.

    Parameters
    ----------
    path : Path
    sent : array, (n_steps, channel, height, width) or (n_steps, size)
    largest : int
        What a spike carries at most.
    **resets
        What netx is told of resets.
    """

    def __init__(self, path: Path, sent: IntArray, largest: int, **resets: int) -> None:
        network = import_netx()
        from lava.proc import io

        bits = 8 if largest > 1 else 0  # of a spike that is sent
        self.net = network(net_config=str(path), input_message_bits=bits, **resets)
        self.source = io.source.RingBuffer(data=self.in_lava(sent))
        self.sink = io.sink.RingBuffer(shape=self.net.out.shape, buffer=len(sent))
        self.source.s_out.connect(self.net.inp)
        self.net.out.connect(self.sink.a_in)

    def in_lava(self, sent: AnyArray) -> AnyArray:
        """Return what is sent, timesteps last, maps as (width, height, channel)."""
        is_row = len(self.net.inp.shape) == 1
        return (sent.reshape(len(sent), -1) if is_row else sent).T.astype(np.int32)

    def run(self, n_steps: int) -> None:
        """Go on for some timesteps."""
        from lava.magma.core.run_conditions import RunSteps
        from lava.magma.core.run_configs import Loihi2SimCfg

        config = Loihi2SimCfg(select_tag="fixed_pt")
        self.net.run(condition=RunSteps(num_steps=n_steps), run_cfg=config)

    def received(self) -> IntArray:
        """Return the spikes of the latest timesteps, ``(n_steps, n_out)``."""
        spikes = self.sink.data.get().T
        return np.asarray(spikes.reshape(len(spikes), -1), np.int64)


def run_netx(path: Path, x: IntArray) -> IntArray:
    """Return the spikes of the outputs, ``(n, n_timesteps, n_out)``.

    netx resets each layer as the first spikes of an input reach it, which also undoes
    what biases did before the first; ``reset_offset``, since it counts from where the
    first layer receives spikes at once. Spikes that are delayed, or come back to their
    layer, outlast a reset: such a network is built anew for each input.

    Parameters
    ----------
    path : Path
    x : array, (n, n_timesteps, channel, height, width) or (n, n_timesteps, size)
        What the input sends at each timestep.
    """
    layers = read_hdf5(path)["layer"].values()
    if len(x) > 1 and any("delay" in of or "weight_rec" in of for of in layers):
        return np.concatenate([run_netx(path, one[np.newaxis]) for one in x])
    n, n_timesteps = x.shape[:2]
    silence = np.zeros((len(layers), *x.shape[2:]), x.dtype)  # until the last came out
    sent = np.concatenate([x.reshape(-1, *x.shape[2:]), silence])
    host = Host(path, sent, int(x.max()), reset_interval=n_timesteps, reset_offset=1)
    with forking():
        host.run(len(sent))
        rows = host.received()
        host.net.stop()
    first = len(host.net)
    return rows[first : first + n * n_timesteps].reshape(n, n_timesteps, -1)


def run_until(path: Path, x: IntArray, gap: int) -> tuple[IntArray, IntArray]:
    """Return the spikes counted until each input stopped, and its timesteps.

    An input stops once its best output leads by more than ``gap``, or is over. Then the
    host sends the next, and resets the layers itself, each before the first spikes of
    it come. Not for networks with delays or recurrent connections, see ``run_netx``.
    """
    host = Host(path, x[0, :1], int(x.max()))
    layers, n_timesteps = host.net.layers, x.shape[1]
    counts: list[IntArray] = []
    stops: list[int] = []
    with forking():
        for one in x:
            count = np.zeros(int(np.prod(host.net.out.shape)), np.int64)
            for step in range(1, n_timesteps + len(layers) + 1):
                now = one[step - 1 : step] if step <= n_timesteps else 0 * one[:1]
                if step > 1 or counts:  # the first is there from the start
                    host.source.data.set(host.in_lava(now))
                host.run(1)
                if step <= len(layers):
                    neuron = layers[step - 1].neuron
                    neuron.u.set(np.zeros(neuron.u.shape, np.int32))
                    neuron.v.set(np.zeros(neuron.v.shape, np.int32))
                    continue
                count += host.received()[0]
                second, first = np.sort(count)[-2:]
                if first - second > gap:
                    break
            counts.append(count)
            stops.append(step - len(layers))
        host.net.stop()
    return np.array(counts), np.array(stops)


def main() -> None:
    """Print what the outputs count for each input."""
    parser = argparse.ArgumentParser(description="Run a .net file with netx.")
    parser.add_argument("network", type=Path, help="the .net file")
    parser.add_argument("data", type=Path, help="inputs x, and labels y")
    parser.add_argument("-n", type=int, default=10, help="so many inputs (10)")
    parser.add_argument("--gap", type=int, help="stop an input at a larger lead")
    options = parser.parse_args()

    graph = load_model(options.network)
    data = read_data(options.data, graph.input.shape, graph.training)
    times = range(1, graph.training.timesteps + 1)
    stimuli = [data.stimulus(index) for index in range(min(options.n, len(data)))]
    x = np.stack([np.stack([stimulus.at(t) for t in times]) for stimulus in stimuli])
    if options.gap is None:
        counts: Any = run_netx(options.network, x).sum(axis=1)
        stops = np.full(len(x), len(times))
    else:
        counts, stops = run_until(options.network, x, options.gap)
    for index, (row, stop) in enumerate(zip(counts, stops, strict=True)):
        print(f"{index}: {row.argmax()} after {stop} timesteps, {row.tolist()} spikes")
    if data.y is not None:
        right = counts.argmax(axis=1) == data.y[: len(counts)]
        print(f"right: {right.mean():.1%}, {stops.mean():.2f} timesteps")


if __name__ == "__main__":
    main()
