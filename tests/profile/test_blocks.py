"""Blocks: sized by bytes, priced as arrays, named by what they are."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snn_deploy.backends.engine.cpu import CpuProgram
from snn_deploy.backends.registry import open_backend
from snn_deploy.cutoff import monitor as monitor_module
from snn_deploy.cutoff.decision import never
from snn_deploy.cutoff.monitor import block_of, bytes_of_input, run_block, run_inputs
from snn_deploy.ir.stimuli import Stimulus
from snn_deploy.profile import meter as meter_module
from snn_deploy.profile.measured import Kind, Run
from snn_deploy.profile.meter import Meter
from snn_deploy.profile.profile import profile_inputs
from snn_deploy.profile.store import Folder
from tests.profile.test_profile import artifact, data
from tests.profile.test_retry import calibrated


def meter() -> Meter:
    return Meter(artifact(), open_backend("cpu"), data(), None, None, "embedded")


def test_a_block_has_as_many_inputs_as_fit_in_its_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = artifact().network
    stimuli = [stimulus for _, stimulus in data(3).stimuli()]
    block = run_block(CpuProgram(network), network, stimuli, never)
    taken = block.scores.nbytes + block.counts.values.nbytes
    taken += sum(stimulus.values.nbytes for stimulus in stimuli)
    assert bytes_of_input(network, data().n_rows) == taken / 3
    assert meter().block_size == monitor_module.BATCH

    monkeypatch.setattr(
        meter_module, "MOST_BYTES", 7 * bytes_of_input(network, data().n_rows) + 1
    )
    assert meter().block_size == 7

    monkeypatch.setattr(meter_module, "MOST_BYTES", 1)
    assert meter().block_size == 1


def test_inputs_run_at_once_as_far_as_their_counts_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = artifact().network
    sizes: list[int] = []

    class Watched(CpuProgram):
        def run(self, stimuli: Sequence[Stimulus], *args: Any, **kwargs: Any) -> Any:
            sizes.append(len(stimuli))
            return super().run(stimuli, *args, **kwargs)

    monkeypatch.setattr(
        monitor_module, "MOST_BYTES", 4 * bytes_of_input(network, data().n_rows)
    )
    found = list(run_inputs(Watched(network), network, data(10).stimuli(), never))

    assert [result.index for result in found] == [*range(10)]
    assert max(sizes) <= 5


def test_a_block_of_single_results_is_that_of_the_machine() -> None:
    network = artifact().network
    program, stimuli = CpuProgram(network), list(data(5).stimuli())

    stepped = block_of([*run_inputs(program, network, stimuli, never)], network)

    block = run_block(program, network, [stimulus for _, stimulus in stimuli], never)
    np.testing.assert_array_equal(stepped.scores, block.scores)
    np.testing.assert_array_equal(stepped.timesteps, block.timesteps)
    for part in ("whole", "tail", "run_on"):
        mine, other = getattr(stepped, part), getattr(block, part)
        np.testing.assert_array_equal(mine.cores, other.cores)
        np.testing.assert_array_equal(mine.chip, other.chip)
    np.testing.assert_array_equal(
        stepped.whole.limits.sum(axis=1), block.whole.limits.sum(axis=1)
    )
    assert len(block[1:4]) == 3
    np.testing.assert_array_equal(block[1:4].scores, block.scores[1:4])


def test_keys_in_the_journal_are_not_made_from_words(tmp_path: Path) -> None:
    rule, store = calibrated(3, 0), Folder(tmp_path)
    run = Run(kind=Kind.STREAM, inputs=range(3), n_timesteps=2, words="../a, b/c")
    assert run.key == "stream-2"

    profile_inputs(
        artifact(),
        open_backend("cpu"),
        data(),
        cutoff=rule.cutoff,
        calibration=rule,
        store=store,
    )

    keys = {name.rsplit("-", 2)[0] for name in store.hashes}
    assert {"stream-3", "stream-6", "fixed-6"} <= keys
