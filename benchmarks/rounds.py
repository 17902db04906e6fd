"""Measure one case: every contender once in a round, round after round."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.cases import Case
from benchmarks.checks import check_equality, facts, load_seconds
from benchmarks.contender import AbsentError, Contender
from benchmarks.lava_peer import lava_contender
from benchmarks.memory import NOTHING, SNN_DEPLOY, peak_mib
from benchmarks.ours import engine_contenders, numpy_contender
from benchmarks.peers import FRAMEWORKS, PROGRAMS, Peers
from benchmarks.store import Store

LEAST_ROUNDS = 2
MEMORY_BATCH = 16
MEMORY_CASE = "N3"
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How much is measured."""

    rounds: int
    seconds: float  # for each contender in each round
    only: tuple[str, ...] = ()  # programs; empty: all

    def wants(self, program: str) -> bool:
        """Whether a program takes part."""
        return not self.only or program.partition(" ")[0] in self.only


def measure_case(
    case: Case, store: Store, plan: Plan, deadline: float, say: Say
) -> None:
    """Measure what ``store`` does not hold yet.

    Past ``deadline`` (of the monotonic clock) no further round begins, once there are
    two.
    """
    say(f"{case.name}: equality, sizes, load time, memory")
    _keep_facts(case, store, plan)
    contenders, absent = _contenders(case, store, plan)
    store.keep("absent", absent)
    for turn in range(plan.rounds):
        if turn >= LEAST_ROUNDS and time.monotonic() > deadline:
            say(f"{case.name}: stops after {turn} rounds, the time is over")
            return
        for contender in contenders:
            _measure(case, contender, store, turn, plan.seconds, say)


def _contenders(
    case: Case, store: Store, plan: Plan
) -> tuple[list[Contender], dict[str, str]]:
    """Return who takes part, and why others do not."""
    found = [*engine_contenders(case), numpy_contender(case)]
    peers = Peers(case, [p for p in PROGRAMS if plan.wants(p)])
    if store.known("agreement") is None:
        store.keep("agreement", peers.agreement())
    absent = dict(peers.absent)
    if plan.wants("lava"):
        try:
            found.append(lava_contender(case))
        except AbsentError as error:
            absent["lava"] = str(error)
    found += peers.contenders()
    return [x for x in found if plan.wants(x.setting.program)], absent


def _measure(
    case: Case,
    contender: Contender,
    store: Store,
    turn: int,
    seconds: float,
    say: Say,
) -> None:
    setting = contender.setting
    if store.has(setting, turn):
        return
    sample = contender.measure(seconds)
    store.add(setting, sample)
    say(f"{case.name}: round {turn + 1}: {setting.key}: {sample.us:.4g} us")


def _keep_facts(case: Case, store: Store, plan: Plan) -> None:
    folder = store.path.parent
    for name, work in (
        ("equal", lambda: check_equality(case)),
        ("facts", lambda: facts(case)),
        ("load_s", lambda: load_seconds(case, folder)),
        ("memory_mib", lambda: _memory(case, folder, plan)),
    ):
        if store.known(name) is None:
            store.keep(name, work())


def _memory(case: Case, folder: Path, plan: Plan) -> dict[str, float | None]:
    """Return peaks; the frameworks take long to start, so theirs for one network."""
    model = folder / f"{case.name}.snn"  # written to measure how long it loads
    programs = [NOTHING, SNN_DEPLOY]
    if case.name == MEMORY_CASE:
        programs += [p for p in FRAMEWORKS if plan.wants(p)]
    return {program: peak_mib(program, model, MEMORY_BATCH) for program in programs}
