"""costs: means with what is saved."""

from snn_deploy.profile.profile import Profile
from snn_deploy.profile.summary import summarize
from snn_deploy.report.costs import costs
from tests.report.profiles import (
    CASES,
    changed,
    early_rows,
    fixed_rows,
    profile,
    without_cutoff,
)
from tests.report.reading import words


def means(profiled: Profile) -> str:
    return words(costs(summarize(profiled)))


def test_parts_and_their_sum_are_compared() -> None:
    text = means(profile())

    assert (
        "energy, neurocores 4.00 µJ 8.00 µJ 16.0 µJ 12.0 µJ 24.0 µJ 48.0 µJ 66.7 %"
        in text
    )
    assert (
        "energy, up to board 10.0 µJ 20.0 µJ 38.0 µJ 30.0 µJ 60.0 µJ 114 µJ 66.7 %"
        in text
    )
    assert "latency 1.00 ms 2.00 ms 4.00 ms 3.00 ms 6.00 ms 12.0 ms 66.7 %" in text
    assert "synaptic operations 2,000 6,000 66.7 %" in text
    assert "hops 0 0 \N{EN DASH}" in text
    late = "after a layer's last timestep"
    assert f"synaptic operations {late} 600 1,800 66.7 %" in text
    assert f"energy of events {late} 200 nJ 600 nJ 1.00 µJ 600 nJ" in text


def test_what_is_done_after_the_last_timestep_is_shown_if_there_is_any() -> None:
    nothing = {"run_on_synaptic_operations": 0} | {
        f"energy_run_on_{end}": 0.0 for end in ("low_j", "j", "high_j")
    }
    held = profile(rows=early_rows(9, **nothing), fixed_rows=fixed_rows(9, **nothing))

    assert "last timestep" not in means(held)


def test_links_between_chips_are_listed_where_there_are_several() -> None:
    summary = summarize(profile())
    assert "crossings" not in words(costs(summary))
    assert "Links" not in words(costs(summary))
    for run in ("with_cutoff", "all_timesteps"):
        summary[run]["mean_crossings"] = 8.0
    summary["links"] = [
        {"from": [0, 0], "to": [1, 0], "mean_packets": 2.0},
        {"from": [1, 0], "to": [1, 1], "mean_packets": 6.0},
    ]

    text = words(costs(summary))

    assert "crossings 8 8 0.0 %" in text
    assert "Links between chips (2)" in text
    assert text.index("1, 0 1, 1 6") < text.index("0, 0 1, 0 2")


def test_cutoff_that_costs_more_saves_less_than_nothing() -> None:
    slow = tuple(changed(r, latency_s=0.009) for r in early_rows(30))

    assert "\N{MINUS SIGN}50.0 %" in means(profile(rows=slow))


def test_without_cutoff_nothing_is_compared() -> None:
    text = means(without_cutoff())

    assert "energy, up to board 30.0 µJ 60.0 µJ 114 µJ latency" in text
    assert "saved" not in text


def test_unknown_prices_are_called_so() -> None:
    unknown = {f"energy_embedded_{end}": None for end in ("low_j", "j", "high_j")}
    few = profile(rows=early_rows(9, **unknown), fixed_rows=fixed_rows(9, **unknown))

    assert f"energy, embedded{7 * ' unknown'}" in means(few)
    assert f"energy, up to board{7 * ' unknown'}" in means(few)
    assert "energy, up to chip 8.00 µJ 16.0 µJ" in means(few)
    assert f"energy, up to chip{7 * ' unknown'}" in means(CASES["no prices"])
