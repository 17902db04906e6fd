"""Load damaged networks into the engine and run them; nothing may crash.

    python -m tests.backends.fuzz_engine [--seconds 600] [--seed 0] [--loads 10000]

The calls that load random networks are recorded, one argument of some is changed (its
value, shape, order, type, stride or length), and they are made again. Each load either
runs or ends in a Python error. ``--loads`` loads one network so often instead, and
fails if the memory grows.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.backends import _engine as engine
from snn_deploy.backends.compiled import EngineInput
from snn_deploy.backends.engine_grid import UnsupportedError
from snn_deploy.backends.engine_layout import Layout
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.synapses import SparseSynapses
from snn_deploy.passes.retime import retime
from tests.backends.test_engine import pictures
from tests.build import dense, integers, population
from tests.conformance.networks import ROOMY
from tests.conformance.test_equality import slow_loop

Call = tuple[str, tuple[Any, ...], dict[str, Any]]
NUMBERS = (-(1 << 31), -2, -1, 0, 1, 2, 3, 7, 64, 1000, 1 << 20, (1 << 31) - 1, 1 << 40)
MOST_GROWTH = 20_000  # kB over all loads


def network_of(seed: int) -> QuantizedGraph:
    """Return a network of convolutions, of a loop with delays, or of sparse weights."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.6:
        widths = tuple(int(n) for n in rng.integers(1, 70, 3))
        return retime(pictures(widths, refractory=int(rng.integers(3))), ROOMY)
    if rng.random() < 0.5:
        return retime(slow_loop(), ROOMY)
    n_in, n_out, n = (int(x) for x in rng.integers(1, 90, 3))
    pairs = rng.permutation(n_in * n_out)[:n]
    synapses = SparseSynapses(
        weights=2 * rng.integers(-120, 120, len(pairs)),
        sources=np.sort(pairs // n_out),
        targets=(pairs % n_out)[np.argsort(pairs // n_out, kind="stable")],
        size=(n_out, n_in),
    )
    link = replace(dense("input", "a", np.zeros((0, 0))), synapses=synapses)
    layers = [population("a", (n_out,))]
    return retime(integers(layers, [link], shape=(n_in,)), ROOMY)


class Recorder:
    """Stands in for the engine's network and remembers the calls."""

    def __init__(self, *given: Any) -> None:
        self.calls: list[Call] = [("", given, {})]

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> int:
            self.calls.append((name, given, named))
            return 0

        return call


def calls_of(graph: QuantizedGraph) -> list[Call]:
    """Return the calls that load a network."""
    original = engine.Network
    engine.Network = Recorder  # type: ignore[misc, assignment]
    try:
        recorder: Any = Layout(graph).network
    finally:
        engine.Network = original  # type: ignore[misc]
    calls: list[Call] = recorder.calls
    return calls


def changed(value: Any, rng: np.random.Generator) -> Any:
    """Return an argument that is wrong, or at least another one."""
    if isinstance(value, np.ndarray):
        return _changed_array(value, rng)
    if isinstance(value, list):
        kept = list(value)
        if kept and rng.random() < 0.5:
            position = int(rng.integers(len(kept)))
            kept[position] = changed(kept[position], rng)
            return kept
        return kept[:-1] if rng.random() < 0.5 else [*kept, *kept[:1]]
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return str(rng.choice(["sum", "last", "max", "", "x" * 100]))
    return int(NUMBERS[rng.integers(len(NUMBERS))])


def _changed_array(array: Any, rng: np.random.Generator) -> Any:
    flat = array.reshape(-1)
    ways: list[Callable[[], Any]] = [
        lambda: flat[: int(rng.integers(0, len(flat) + 1))],
        lambda: np.concatenate([flat, flat])[: int(rng.integers(1, 2 * len(flat) + 2))],
        lambda: array[..., ::-1],
        lambda: np.asfortranarray(array),
        lambda: array.astype(
            rng.choice(["int8", "int16", "int32", "int64", "float64"])
        ),
        lambda: np.repeat(array, 2, axis=-1)[..., ::2],
        lambda: np.where(
            rng.random(array.shape) < 0.2,
            rng.choice(NUMBERS[:-1]),
            array.astype(np.int64),
        ).astype(array.dtype),
        lambda: array[np.newaxis],
        lambda: None,
    ]
    return ways[rng.integers(len(ways))]()


def load_and_run(calls: Sequence[Call], rng: np.random.Generator) -> str:
    """Make the calls; return ``"runs"``, or the kind of the error."""
    try:
        _, given, _ = calls[0]
        network = engine.Network(*given)
        for name, arguments, named in calls[1:]:
            getattr(network, name)(*arguments, **named)
        height, width, channels, timesteps, _ = given
        values = rng.integers(0, 2, (timesteps, height * width * channels))
        inputs: list[EngineInput] = [(values.astype(np.int32), False, None)] * 2
        sets = engine.instruction_sets()
        for instructions in sets:
            network.run(inputs, np.full(timesteps, np.inf), 2, False, instructions)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        return type(error).__name__
    return "runs"


def damaged(calls: Sequence[Call], rng: np.random.Generator) -> list[Call]:
    """Return the calls with one to three arguments changed, or one call left out."""
    result = list(calls)
    for _ in range(int(rng.integers(1, 4))):
        position = int(rng.integers(len(result)))
        name, given, named = result[position]
        if rng.random() < 0.05 and name:
            del result[position]
        elif given:
            which = int(rng.integers(len(given)))
            parts = [*given]
            parts[which] = changed(parts[which], rng)
            result[position] = (name, tuple(parts), named)
    return result


def is_small(calls: Sequence[Call]) -> bool:
    """Whether the sizes that are asked for fit this machine."""
    numbers = [x for _, given, _ in calls for x in given[:5] if isinstance(x, int)]
    return all(abs(x) <= 1000 or x > 1 << 32 or x < 0 for x in numbers)


def fuzz(seconds: float, seed: int) -> Counter[str]:
    """Return how the loads ended, by kind."""
    rng = np.random.default_rng(seed)
    found: Counter[str] = Counter()
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        try:
            calls = calls_of(network_of(int(rng.integers(1 << 31))))
        except UnsupportedError:
            continue
        for _ in range(30):
            broken = damaged(calls, rng)
            if is_small(broken):
                found[load_and_run(broken, rng)] += 1
    return found


def growth(n_loads: int) -> int:
    """Return by how much the memory grows while a network is loaded so often [kB]."""
    graph = network_of(3)

    def load(n: int) -> int:
        for _ in range(n):
            Layout(graph)
        status = Path("/proc/self/status").read_text("utf-8")
        return int(status.partition("VmRSS:")[2].split()[0])

    before = load(max(1, n_loads // 10))
    return load(n_loads) - before


def main() -> None:
    """Fuzz or load, and tell what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--loads", type=int, default=0)
    options = parser.parse_args()
    if options.loads:
        grown = growth(options.loads)
        print(f"{options.loads} loads: {grown} kB more")
        raise SystemExit(grown > MOST_GROWTH)
    found = fuzz(options.seconds, options.seed)
    print(f"{found.total()} loads: {dict(found)}; no crash")


if __name__ == "__main__":
    main()
