"""headline: what the cutoff saves, in words that are true in every case."""

import re

import numpy as np

from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize
from snn_deploy.report.headline import headline
from tests.report.profiles import (
    CASES,
    N_TIMESTEPS,
    calibrated,
    changed,
    early_rows,
    fixed_rows,
    network,
    profile,
    without_cutoff,
)
from tests.report.reading import words


def head(profiled: Profile) -> str:
    return words(headline(profiled, summarize(profiled)))


def test_headline_says_what_the_cutoff_saves() -> None:
    text = head(profile())

    assert "takes 2 of 6 timesteps on average, with accuracy 96.7 % against" in text
    assert "of 6; on the chip 4" in text
    assert "all: 8 one by one, 6 streamed" in text
    assert "accuracy 96.7 % against 100.0 % (lost: 3.33 points, 95 % interval" in text
    assert "It costs 20.0 µJ against 60.0 µJ at all timesteps, and takes 2.00" in text
    assert "2.00 ms against 6.00 ms, modelled." in text
    assert "modelled; neurocores, chips and board" in text
    assert (
        "Best for latency and throughput and energy: with cutoff, one by one." in text
    )
    assert "Promise: accuracy lost <= 0.02, with confidence 0.9 over the draw" in text
    assert "labels were used" in text
    assert "Right answers lost by stopping: 1; won: 0" in text
    assert "4 with the cutoff, 8 for all timesteps one by one, 6 in a stream" in text


def test_a_cutoff_that_costs_more_than_it_saves_is_said_to() -> None:
    rows = tuple(changed(r, latency_s=0.009) for r in early_rows(30))

    text = head(profile(rows=rows))

    assert "latency +50% (6 timesteps, one by one)" in text
    assert "; it pays for energy and throughput and chip timesteps only. Energy" in text


def test_a_promise_on_average_has_no_confidence() -> None:
    artifact = calibrated(network(), form="expectation")

    text = head(profile(artifact=artifact))

    assert "The budget was 2 %, calibrated" in text
    assert "accuracy lost <= 0.02, on average over the draw of the" in text
    assert "confidence 0.9" not in text


def test_two_streams_are_said_to_be_two_streams() -> None:
    text = head(CASES["retry"])  # ten inputs take 8 timesteps, twenty take 2

    assert "takes 4 of 6 timesteps on average, with accuracy" in text
    assert "of 6; on the chip 4" in text
    assert "in two streams, which fill the pipeline" in text
    assert "of pipeline on the chip" not in text
    assert "stop after timestep 2 if the best output leads" in text
    assert (
        "those of serving 2 timesteps, the undecided again for 6, streamed; all "
        "timesteps are one by one"
    ) in text


def test_without_cutoff_nothing_is_said_to_be_saved() -> None:
    text = head(without_cutoff())

    assert "Without a cutoff every input takes all 6 timesteps" in text
    assert "Rule: no cutoff, the network is not calibrated." in text
    assert "saved" not in text
    assert "with cutoff" not in text


def test_cutoff_that_was_switched_off_is_named() -> None:
    rows = fixed_rows(3)

    text = head(profile(3, rows=rows, fixed_rows=rows, has_cutoff=False))

    assert "Rule: no cutoff, it was switched off." in text


def test_without_labels_changed_answers_are_counted() -> None:
    text = head(CASES["no labels"])

    assert "accuracy unknown, since there are no labels" in text
    assert "Answers that differ from those at all timesteps: 1 of 30 (3.3 %" in text


def test_unchanged_answers_prove_only_so_much() -> None:
    rows = tuple(changed(r, prediction=1) for r in early_rows(30))

    text = head(profile(rows=rows))

    assert (
        "(lost: 0.00 points, 95 % interval \N{MINUS SIGN}6.12 to 6.12, paired)" in text
    )
    assert "0 of 30 (0.0 %; in other inputs under 9.5 %, with 95 % confidence)" in text


def test_unknown_energy_is_never_zero() -> None:
    text = head(CASES["no prices"])

    assert "It costs unknown against unknown" in text
    assert not re.search(r"\b0(\.0+)? .?J\b", text)


def test_sum_of_some_parts_names_them() -> None:
    unknown = {f"energy_embedded_{end}": None for end in ("low_j", "j", "high_j")}
    few = profile(rows=early_rows(9, **unknown), fixed_rows=fixed_rows(9, **unknown))

    text = head(few)

    assert "It costs 16.0 µJ against 48.0 µJ" in text
    assert "modelled; neurocores, chips and board, without embedded" in text


def test_infinite_threshold_is_a_refusal() -> None:
    never = calibrated(network(), betas=np.full(N_TIMESTEPS, np.inf), n_inputs=20)
    refused = profile(4, artifact=never, rows=fixed_rows(4))

    text = head(refused)

    assert "never stops early, since there are too few inputs" in text
    assert "20 calibration inputs cannot promise that; at least 114" in text
    assert "stop once" not in text


def test_published_rule_promises_nothing() -> None:
    topk = calibrated(network(), rule="topk", betas=np.arange(N_TIMESTEPS) + 0.5)

    text = head(profile(artifact=topk))

    assert "thresholds per timestep 0.5, 1.5, 2.5, 3.5, 4.5, 5.5" in text
    assert "Promise: none." in text


def test_one_input_has_a_wide_interval() -> None:
    text = head(CASES["one input, cutoff"])

    assert "(lost: 100.00 points, 95 % interval \N{MINUS SIGN}" in text


def test_each_tile_names_the_best_rival_and_its_band() -> None:
    text = head(profile())

    assert "energy 20.0 µJ 10.0 µJ to 38.0 µJ best rival: 60.0 µJ (6 timesteps" in text
    assert "latency 2.00 ms 1.00 ms to 4.00 ms best rival: 6.00 ms (6" in text
    assert (
        "inputs a second 500.0 250.0 to 1,000.0 best rival: 222.2 (6 timesteps" in text
    )
    assert "accuracy 96.7 % 83.3 % to 99.4 % best rival: 100.0 % (6" in text  # Wilson


def test_without_cutoff_the_best_schedule_is_named() -> None:
    text = head(without_cutoff())

    assert "best schedule: 222.2 (6 timesteps, streamed)" in text
    assert "rival" not in text


def test_only_notes_are_folded() -> None:
    markup = headline(profile(), summarize(profile()))

    shown, folded = markup.split("<details>")
    assert shown.count('class="lead') == 3
    assert "Promise:" in folded
    assert "Promise:" not in shown
