"""The float frameworks as contenders: one input at a time, and their best batch."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from benchmarks.cases import Case, multiplications
from benchmarks.contender import (
    AbsentError,
    Contender,
    Sample,
    Setting,
    clock_of,
    shortest,
)
from benchmarks.float_layers import float_layers, spike_tensor
from benchmarks.frameworks import Run, framework
from snn_deploy.arrays import IntArray

COMPILED = "torch.compile"
FRAMEWORKS = ("norse", "snntorch", "spikingjelly")
PROGRAMS = (*FRAMEWORKS, COMPILED)
BATCHES = (16, 64, 256)
BATCHES_COMPILED = (16, 64)  # each takes PyTorch tens of seconds to compile
MOST_MULTIPLICATIONS = 70_000_000_000  # of a batch that is tried


class Peers:
    """One network in the frameworks that are installed and can express it."""

    def __init__(self, of: Case, programs: Sequence[str]) -> None:
        self.case = of
        self.inputs = spike_tensor(of.pool[: max(BATCHES)], of.n_timesteps)
        self.absent: dict[str, str] = {}
        self.runs: dict[str, Run] = {}
        for program in programs:
            try:
                self.runs[program] = framework(program, float_layers(of.graph))
            except AbsentError as error:
                self.absent[program] = str(error)

    def contenders(self) -> Iterator[Contender]:
        """Yield each framework in all its settings."""
        for program in self.runs:
            for threads in (1,) if program == COMPILED else (1, 2):
                for batch in ("1", "best"):
                    setting = Setting(program, threads, batch)
                    yield Contender(setting, _Measurement(self, setting).take)

    def agreement(self) -> dict[str, float]:
        """Return for how many inputs each framework has the engine's answer."""
        n = min(64, len(self.case.stimuli), self.inputs.shape[1])
        ours = self.case.scores[:n, -1].argmax(axis=1)
        with torch.no_grad():
            return {
                program: float((_answers(run, self.inputs[:, :n]) == ours).mean())
                for program, run in self.runs.items()
            }

    def batches(self, program: str) -> list[int]:
        """Return the batches that are worth a try."""
        per_input = multiplications(self.case.graph) * self.case.n_timesteps
        known = BATCHES_COMPILED if program == COMPILED else BATCHES
        few = [n for n in known if n * per_input <= MOST_MULTIPLICATIONS]
        return [n for n in few if n <= self.inputs.shape[1]] or [1]


class _Measurement:
    """One framework in one setting; the first time finds the best batch."""

    def __init__(self, peers: Peers, setting: Setting) -> None:
        self.peers = peers
        self.setting = setting
        self.run = peers.runs[setting.program]
        self.batch = 1 if setting.batch == "1" else 0

    def take(self, seconds: float) -> Sample:
        torch.set_num_threads(self.setting.threads)
        with torch.no_grad():
            if not self.batch:
                tried = self.peers.batches(self.setting.program)
                self.batch = min(tried, key=lambda batch: self._time(batch, 0.0))
            found = self._time(self.batch, seconds)
        return Sample(found, {"batch": self.batch})

    def _time(self, batch: int, seconds: float) -> float:
        """Return microseconds per input and timestep."""
        inputs = self.peers.inputs
        self.run(inputs[:1, :batch])  # lays out, compiles

        def work(turn: int) -> None:
            start = turn * batch % (inputs.shape[1] - batch + 1)
            self.run(inputs[:, start : start + batch])

        found = shortest(clock_of(self.setting), seconds, work)
        return 1e6 * found / (batch * len(inputs))


def _answers(run: Run, inputs: Tensor) -> IntArray:
    found: IntArray = run(inputs).argmax(dim=1).numpy()
    return found
