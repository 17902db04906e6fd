"""Misuse the engine: damaged networks, sessions in any order; nothing may crash.

    python -m tests.backends.fuzz_engine [--seconds 600] [--seed 0] [--loads 10000]

Half of the time, the calls that load random networks are recorded, one argument of some
is changed (its value, shape, order, type, stride or length), and they are made again:
each load either runs or ends in a Python error. Otherwise inputs of a session advance
and end in any order, with indices that are wrong among them: each call gives what the
input gives alone, or the error that it should. ``--loads`` loads one network so often
instead, and fails if the memory grows.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from snn_deploy.arrays import IntArray
from snn_deploy.backends.engine import _engine as engine
from snn_deploy.backends.engine.compiled import Engine, EngineInput
from snn_deploy.backends.engine.layout import Layout
from snn_deploy.backends.engine.tally import counting_of
from snn_deploy.compiler.lower.retime import retime
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import QuantizedGraph
from snn_deploy.ir.synapses import SparseSynapses
from tests.backends.test_engine import pictures
from tests.build import dense, integers, population
from tests.conformance.networks import ROOMY, mapped
from tests.conformance.test_equality import slow_loop

Call = tuple[str, dict[str, Any]]
NUMBERS = (-(1 << 31), -2, -1, 0, 1, 2, 3, 7, 64, 1000, 1 << 20, (1 << 31) - 1, 1 << 40)
SIZES = ("height", "width", "channels", "timesteps", "delay", "n_links")
MOST_GROWTH = 20_000  # kB over all loads


def network_of(seed: int) -> QuantizedGraph:
    """Return a network of convolutions, of a loop with delays, or of sparse weights."""
    rng = np.random.default_rng(seed)
    if rng.random() < 0.6:
        widths = tuple(int(n) for n in rng.integers(1, 70, 3))
        graph = pictures(
            widths,
            refractory=int(rng.integers(3)),
            takes_bias=bool(rng.random() < 0.3),
        )
        output = str(rng.choice(["conv0", "fc", "fc"]))  # others lie behind the output
        return retime(replace(graph, output=output), ROOMY)
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
    """Stands in for the engine's builder and remembers the calls."""

    def __init__(self, **named: Any) -> None:
        self.calls: list[Call] = [("", named)]

    def build(self) -> "Recorder":
        return self

    def __getattr__(self, name: str) -> Any:
        def call(**named: Any) -> int:
            self.calls.append((name, named))
            return 0

        return call


@contextmanager
def recording() -> Iterator[None]:
    """Put what records calls into the engine's place."""

    def count(network: Recorder, **named: Any) -> None:
        network.calls.append(("count", named))

    places: Any = engine
    originals = {
        name: getattr(engine, name) for name in ("Builder", "Counting", "Tally")
    }
    places.Builder, places.Counting, places.Tally = Recorder, count, dict
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(engine, name, original)


def calls_of(network: MappedNetwork) -> list[Call]:
    """Return the calls that load a network, and say what is to be counted."""
    with recording():
        layout = Layout(network.graph)
        counting_of(layout, network)
    recorder: Any = layout.network
    calls: list[Call] = recorder.calls
    return calls


def changed(value: Any, rng: np.random.Generator) -> Any:
    """Return an argument that is wrong, or at least another one."""
    if isinstance(value, np.ndarray):
        return _changed_array(value, rng)
    if isinstance(value, tuple):
        return tuple(changed(list(value), rng))
    if isinstance(value, dict):
        key = str(rng.choice(sorted(value)))
        return {**value, key: changed(value[key], rng)}
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
        _, source = calls[0]
        builder = engine.Builder(**source)
        for name, named in calls[1:]:
            if name != "count":
                getattr(builder, name)(**named)
        network = builder.build()
        counting = None
        for _, named in (call for call in calls[1:] if call[0] == "count"):
            tallies = [engine.Tally(**tally) for tally in named["tallies"]]
            counting = engine.Counting(network, **{**named, "tallies": tallies})
        n = source["height"] * source["width"] * source["channels"]
        values = rng.integers(0, 2, (source["timesteps"], n)).astype(np.int32)
        inputs: list[EngineInput] = [(values, False, None)] * 2
        inputs.append((values[:1], True, None))
        never = np.full(source["timesteps"], np.inf)
        for instructions in engine.instruction_sets():
            network.run(inputs, never, 2, counting, instructions)
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        return type(error).__name__
    return "runs"


def damaged(calls: Sequence[Call], rng: np.random.Generator) -> list[Call]:
    """Return the calls with one to three arguments changed, or one call left out."""
    result = list(calls)
    for _ in range(int(rng.integers(1, 4))):
        position = int(rng.integers(len(result)))
        name, named = result[position]
        if rng.random() < 0.05 and name:
            del result[position]
        else:
            result[position] = (name, changed(named, rng))
    return result


def is_small(calls: Sequence[Call]) -> bool:
    """Whether the sizes that are asked for fit this machine."""
    numbers = [named[key] for _, named in calls for key in SIZES if key in named]
    return all(abs(x) <= 1000 or x > 1 << 32 or x < 0 for x in numbers)


def fuzz_loads(seconds: float, rng: np.random.Generator) -> Counter[str]:
    """Return how the loads of damaged networks ended, by kind."""
    found: Counter[str] = Counter()
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        calls = calls_of(mapped(network_of(int(rng.integers(1 << 31)))))
        for _ in range(30):
            broken = damaged(calls, rng)
            if is_small(broken):
                found[load_and_run(broken, rng)] += 1
    return found


@dataclass
class Alone:
    """What each input gives by itself: read-outs, and counts if it ends after t."""

    program: Engine
    inputs: list[EngineInput]

    def __post_init__(self) -> None:
        self.readouts: list[IntArray] = []
        for i in range(len(self.inputs)):
            session = self.session([self.inputs[i]])
            which, n = np.zeros(1, np.int64), self.n_timesteps
            self.readouts.append(
                np.concatenate([session.step(which) for _ in range(n)])
            )

    @property
    def n_timesteps(self) -> int:
        return self.program.network.graph.training.timesteps

    def session(self, inputs: list[EngineInput]) -> engine.Session:
        """Return a session of inputs at rest."""
        program = self.program
        network, counting = program.layout.network, program.counting
        return engine.Session(network, inputs, counting, program.instructions)

    def counts(self, index: int, t: int) -> IntArray:
        """Return the counts of an input that ends after ``t`` timesteps."""
        session = self.session([self.inputs[index]])
        for _ in range(t):
            session.step(np.zeros(1, np.int64))
        return session.finish(0)


class Misuse:
    """A session whose inputs advance and end in any order, and what must come of it."""

    def __init__(self, alone: Alone, rng: np.random.Generator) -> None:
        self.alone = alone
        self.rng = rng
        self.session = alone.session(alone.inputs)
        self.timesteps: dict[int, int] = dict.fromkeys(range(len(alone.inputs)), 0)

    def act(self) -> str:
        """Make a call; return what came of it."""
        acts = (self.step, self.step, self.step_well, self.finish, self.nonsense)
        return acts[self.rng.integers(len(acts))]()

    def step_well(self) -> str:
        last = self.alone.n_timesteps
        return self._step([i for i, t in self.timesteps.items() if t < last])

    def step(self) -> str:
        n = len(self.alone.inputs)
        size = int(self.rng.integers(0, n + 2))
        return self._step(self.rng.integers(-1, n + 1, size).tolist())

    def _step(self, which: list[int]) -> str:
        last = self.alone.n_timesteps
        is_wrong = len(set(which)) < len(which) or any(
            self.timesteps.get(i, last) == last for i in which
        )
        try:
            found = self.session.step(np.array(which, np.int64))
        except IndexError:
            assert is_wrong
            return "step refused"
        assert not is_wrong
        for i, readout in zip(which, found, strict=True):
            wanted = self.alone.readouts[i][self.timesteps[i]]
            np.testing.assert_array_equal(readout, wanted)
            self.timesteps[i] += 1
        return "step"

    def finish(self) -> str:
        which = int(self.rng.integers(-1, len(self.alone.inputs) + 1))
        t = self.timesteps.pop(which, None)
        try:
            found = self.session.finish(which)
        except IndexError:
            assert t is None
            return "finish refused"
        assert t is not None
        np.testing.assert_array_equal(found, self.alone.counts(which, t))
        return "finish"

    def nonsense(self) -> str:
        calls: list[Callable[[], Any]] = [
            lambda: self.session.step(np.zeros(1, np.int32)),
            lambda: self.session.step(np.zeros((1, 1), np.int64)),
            lambda: self.session.step(np.zeros(4, np.int64)[::2]),
            lambda: self.session.step(None),  # type: ignore[arg-type]
            lambda: self.session.finish(1.5),  # type: ignore[arg-type]
            lambda: self.session.finish(1 << 80),
        ]
        try:
            calls[self.rng.integers(len(calls))]()
        except TypeError:
            return "nonsense refused"
        raise AssertionError("nonsense was taken")


def fuzz_sessions(seconds: float, rng: np.random.Generator) -> Counter[str]:
    """Return how often calls of sessions in any order were made, by kind."""
    found: Counter[str] = Counter()
    sets = engine.instruction_sets()
    begun = time.monotonic()
    while time.monotonic() - begun < seconds:
        network = mapped(network_of(int(rng.integers(1 << 31))))
        n_timesteps = int(rng.integers(1, 8))
        training = replace(network.graph.training, timesteps=n_timesteps)
        holds = bool(rng.random() < 0.5)  # layers behind their last timestep
        precision = replace(network.graph.precision, counts_timesteps=holds)
        graph = replace(network.graph, training=training, precision=precision)
        program = Engine(replace(network, graph=graph), sets[rng.integers(len(sets))])
        n = graph.source.size
        inputs: list[EngineInput] = []
        for _ in range(int(rng.integers(1, 5))):
            is_constant = bool(rng.random() < 0.5)
            rows = 1 if is_constant else int(rng.integers(1, n_timesteps + 3))
            values = rng.integers(0, 3, (rows, n)).astype(np.int32)
            inputs.append((values, is_constant, None))
        alone = Alone(program, inputs)
        misuse = Misuse(alone, rng)
        for _ in range(40):
            found[misuse.act()] += 1
    return found


def fuzz(seconds: float, seed: int) -> Counter[str]:
    """Return what came of damaged networks and of sessions, by kind."""
    loads, sessions = (np.random.default_rng((seed, i)) for i in range(2))
    return fuzz_loads(seconds / 2, loads) + fuzz_sessions(seconds / 2, sessions)


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
    print(f"{found.total()} loads and calls: {dict(found)}; no crash")


if __name__ == "__main__":
    main()
