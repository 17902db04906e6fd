"""Inputs that a machine fails at: told, and in no number."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from snn_deploy.arrays import IntArray
from snn_deploy.artifact import Artifact
from snn_deploy.backends.protocol import Program, Session
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff.rules.rule import Calibration
from snn_deploy.data.data import Data
from snn_deploy.errors import BackendError
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.profile.profile import Profile, Schedule, profile_inputs
from snn_deploy.profile.rows import COLUMNS, GIVEN
from snn_deploy.profile.store import Folder
from snn_deploy.profile.summary import summarize
from snn_deploy.profile.tables import read_rows, write_rows
from tests.hostile.networks import SHAPE, calibration

N = 20


@pytest.fixture(scope="module")
def data(artifact: Artifact) -> Data:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (N, *SHAPE)).astype(np.uint8)
    training = artifact.network.graph.training
    return Data(x=x, y=rng.integers(0, 3, N), training=training)


class Frail:
    """The cpu backend, one input at a time, which fails at some: a stand-in for Lava.

    ``fails`` says for each input from which of its tries on, counted from 1.
    """

    name = "lava"
    is_slow = True
    max_batch = 1

    def __init__(self, data: Data, fails: dict[int, int]) -> None:
        self.first = {data.stimulus(i).values.tobytes(): t for i, t in fails.items()}
        self.tries: Counter[bytes] = Counter()

    def load(self, network: MappedNetwork) -> "Frail":
        loaded = Frail.__new__(Frail)
        vars(loaded).update(vars(self))
        vars(loaded)["program"] = open_backend("cpu").load(network)
        return loaded

    def start(
        self, stimuli: Sequence[Stimulus], looks: IntArray | None = None
    ) -> Session:
        key = stimuli[0].values.tobytes()
        self.tries[key] += 1
        if key in self.first and self.tries[key] >= self.first[key]:
            raise BackendError("a part of it is broken")
        program: Program = vars(self)["program"]
        return program.start(stimuli, looks)

    def record(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("a profile records nothing")

    def close(self) -> None:
        pass


def risk(artifact: Artifact) -> Calibration:
    return replace(calibration(artifact.sha256), betas=np.full(4, 20.0))


def retry(artifact: Artifact) -> Calibration:
    betas, looks = np.array([np.inf, 20, np.inf, 20]), np.array([2, 4])
    return replace(
        calibration(artifact.sha256), rule="retry", betas=betas, polled=looks
    )


RULES = {"none": lambda artifact: None, "risk": risk, "retry": retry}


def profiled(
    artifact: Artifact, data: Data, rule: str, machine: Any, **more: Any
) -> Profile:
    found = RULES[rule](artifact)
    return profile_inputs(
        artifact,
        machine,
        data,
        cutoff=None if found is None else found.cutoff,
        calibration=found,
        **more,
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(
    "fails", [{3: 1}, {0: 1, 8: 1, 9: 1, 19: 1}, {7: 2, 12: 2}, {5: 3, 6: 1}]
)
def test_means_are_those_of_the_other_inputs(
    artifact: Artifact, data: Data, rule: str, fails: dict[int, int]
) -> None:
    """Whether they fail at once, or only once they were served in another way."""
    found = profiled(artifact, data, rule, Frail(data, fails))

    failed = [one.index for one in found.failed]
    rest = [i for i in range(N) if i not in failed]
    others = profiled(artifact, data.take(rest), rule, open_backend("cpu"))
    assert {*failed} <= {*fails}
    assert {i for i, first in fails.items() if first == 1} <= {*failed}
    for name in ("accuracy_at", "agreement_at"):
        np.testing.assert_array_equal(getattr(found, name), getattr(others, name))
    np.testing.assert_array_equal(found.totals.cores, others.totals.cores)
    np.testing.assert_array_equal(found.totals.chip, others.totals.chip)
    assert found.runs.keys() == others.runs.keys()
    for schedule in (Schedule.CUTOFF, Schedule.SERIAL, Schedule.SERIAL_FIXED):
        if schedule not in found.runs or (schedule, rule) == (Schedule.CUTOFF, "retry"):
            continue
        mine, theirs = found.runs[schedule], others.runs[schedule]
        assert mine.column("index").tolist() == rest
        for name in [*COLUMNS][1:]:
            np.testing.assert_array_equal(mine.column(name), theirs.column(name))
    if found.drift is not None and others.drift is not None:
        assert vars(found.drift) == vars(others.drift)


def test_an_input_that_fails_later_is_taken_out_of_what_was_measured_before(
    artifact: Artifact, data: Data
) -> None:
    found = profiled(artifact, data, "risk", Frail(data, {4: 2}))

    assert [(one.index, one.reason) for one in found.failed] == [
        (4, "a part of it is broken")
    ]


def test_an_input_that_fails_once_is_as_any_other(
    artifact: Artifact, data: Data
) -> None:
    class Once(Frail):
        """Fails at the first try, and at no other."""

        def start(
            self, stimuli: Sequence[Stimulus], looks: IntArray | None = None
        ) -> Session:
            key = stimuli[0].values.tobytes()
            if self.tries[key] == 1:
                self.first.pop(key, None)
            return super().start(stimuli, looks)

        def load(self, network: MappedNetwork) -> Frail:
            loaded = super().load(network)
            loaded.__class__ = Once
            return loaded

    found = profiled(artifact, data, "risk", Once(data, {4: 1, 5: 1}))

    whole = profiled(artifact, data, "risk", open_backend("cpu"))
    assert not found.failed
    for name in COLUMNS:
        np.testing.assert_array_equal(found.rows.column(name), whole.rows.column(name))


def test_the_rows_of_failed_inputs_say_why_and_have_no_numbers(
    artifact: Artifact, data: Data, tmp_path: Path
) -> None:
    found = profiled(artifact, data, "none", Frail(data, {0: 1, 8: 1, 9: 1, 19: 1}))

    write_rows(found.rows, tmp_path / "a.parquet", failed=found.failed)
    write_rows(found.rows, tmp_path / "a.csv", "csv", failed=found.failed)

    table = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert [row["index"] for row in table] == [*range(N)]
    for row in table:
        has_failed = row["index"] in (0, 8, 9, 19)
        assert row["failure"] == ("a part of it is broken" if has_failed else None)
        assert row["label"] == data.y[row["index"]]  # type: ignore[index]
        assert row["input_hash"] == data.hashes[row["index"]]
        for name in {*COLUMNS} - {*GIVEN, "squared_error", "absolute_error"}:
            assert (row[name] is None) == has_failed or "j" in name[-2:], name
        assert not has_failed or all(row[n] is None for n in {*COLUMNS} - {*GIVEN})
    lines = pyarrow.csv.read_csv(tmp_path / "a.csv").to_pylist()
    assert [line["spikes"] for line in lines] == [row["spikes"] for row in table]
    read = read_rows(tmp_path / "a.parquet")
    assert [*read] == [*found.rows]


def test_blocks_hold_the_failed_inputs_among_them(
    artifact: Artifact, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from snn_deploy.profile import tables

    found = profiled(artifact, data, "none", Frail(data, {0: 1, 7: 1, 8: 1, 19: 1}))
    monkeypatch.setattr(tables, "BLOCK", 4)

    write_rows(found.rows, tmp_path / "a.parquet", failed=found.failed)

    table = pq.read_table(tmp_path / "a.parquet")
    assert table.column("index").to_pylist() == [*range(N)]


def test_the_summary_counts_them(artifact: Artifact, data: Data) -> None:
    found = profiled(artifact, data, "risk", Frail(data, {2: 1, 3: 1}))

    summary = summarize(found)

    assert (summary["n_inputs"], summary["n_failed"]) == (N - 2, 2)


def test_a_profile_of_which_nothing_is_left_is_an_error(
    artifact: Artifact, data: Data
) -> None:
    machine = Frail(data, dict.fromkeys(range(N), 1))

    with pytest.raises(
        BackendError, match=r"all 20 inputs failed twice, input 0: a part of it"
    ):
        profiled(artifact, data, "risk", machine)


def test_the_next_run_tries_them_again_and_nothing_else_but_their_part(
    artifact: Artifact, data: Data, tmp_path: Path
) -> None:
    frail, sound = Frail(data, {3: 1}), Frail(data, {})
    assert profiled(artifact, data, "none", frail, store=Folder(tmp_path)).failed

    found = profiled(artifact, data, "none", sound, store=Folder(tmp_path))

    whole = profiled(artifact, data, "none", open_backend("cpu"))
    assert not found.failed
    for schedule, rows in whole.runs.items():
        for name in COLUMNS:
            mine = found.runs[schedule].column(name)
            np.testing.assert_array_equal(mine, rows.column(name))
    assert sound.tries.total() < N  # the part of input 3, and what is near it
