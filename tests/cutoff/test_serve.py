"""serving: each input of a stream gets the answer that a run gives it."""

from collections.abc import Iterator

import numpy as np
import pytest

from snn_deploy.cutoff.calibrate import calibrate
from snn_deploy.cutoff.monitor import run_inputs
from snn_deploy.cutoff.restarting import Restarting
from snn_deploy.cutoff.rules.rule import Settings
from snn_deploy.cutoff.serve import Decision, serve
from snn_deploy.cutoff.thresholds import stops
from snn_deploy.data.data import Data
from tests.cutoff.test_monitor import N, loaded

MODEL = "mnist_counts"


def arrivals(data: Data, *sizes: int) -> Iterator[tuple[str, Data]]:
    start = 0
    for size in sizes:
        yield str(start), data.take(range(start, start + size))
        start += size


def served(*sizes: int, audit: float = 0.0, has_labels: bool = True) -> list[Decision]:
    artifact, program, seen, data = loaded(MODEL)
    calibration = calibrate(seen, Settings(budget=0.05))
    if not has_labels:
        data = Data(x=data.x, y=None, training=data.training)
    found = serve(
        Restarting(lambda: program),
        artifact.network,
        calibration,
        arrivals(data, *sizes),
        audit=audit,
    )
    return [one for one in found if isinstance(one, Decision)]


def test_a_stream_is_decided_like_a_run() -> None:
    artifact, program, seen, data = loaded(MODEL)
    calibration = calibrate(seen, Settings(budget=0.05))
    expected = run_inputs(program, artifact.network, data.stimuli(), calibration.cutoff)

    found = served(1, 40, 2, 1, N - 44)

    assert [d.index for d in found] == list(range(N))
    for decision, result in zip(found, expected, strict=True):
        for name in (
            "prediction", "timesteps", "chip_timesteps", "stopped_early", "gap",
        ):  # fmt: skip
            assert getattr(decision, name) == getattr(result, name)
    assert [d.label for d in found] == [int(y) for y in data.y[:N]]  # type: ignore[index]
    assert {d.source for d in found} == {"0", "1", "41", "43", "44"}


def test_audited_inputs_run_to_the_end_and_tell_what_the_cutoff_loses() -> None:
    _, _, seen, _ = loaded(MODEL)
    calibration = calibrate(seen, Settings(budget=0.05))
    early = stops(seen.scores, calibration.cutoff)

    found = served(50, N - 50, audit=0.3)

    audited = [d for d in found if d.is_audited]
    assert 0.15 * N < len(audited) < 0.45 * N
    for decision in found:
        if not decision.is_audited:
            assert decision.timesteps == early[decision.index]
            assert decision.is_lost is None
            continue
        scores = seen.scores[decision.index]
        first, last = scores[early[decision.index] - 1].argmax(), scores[-1].argmax()
        assert decision.timesteps == 16
        assert decision.prediction == last
        assert decision.is_lost == (first != last == decision.label)


def test_a_promise_about_labels_cannot_be_audited_without_them() -> None:
    found = served(N, audit=1.0, has_labels=False)

    assert all(d.is_audited and d.is_lost is None for d in found)


def test_no_input_waits_for_one_that_arrives_later() -> None:
    artifact, program, seen, data = loaded(MODEL)
    calibration = calibrate(seen, Settings(budget=0.05))
    taken: list[str] = []

    def noted() -> Iterator[tuple[str, Data]]:
        for source, part in arrivals(data, 1, 1, 1):
            taken.append(source)
            yield source, part

    machine = Restarting(lambda: program)
    decisions = serve(machine, artifact.network, calibration, noted())
    next(decisions)

    assert taken == ["0"]


def test_the_first_score_is_that_of_the_calibration() -> None:
    _, _, seen, _ = loaded(MODEL)
    calibration = calibrate(seen, Settings(budget=0.05))

    found = served(N)

    assert sorted(d.first_score for d in found) == pytest.approx(
        calibration.first_scores
    )
    assert np.isfinite([d.first_score for d in found]).all()
