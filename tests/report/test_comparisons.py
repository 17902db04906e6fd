"""comparisons: a conventional network, other targets, the metrics of NeuroBench."""

from typing import Any

from snn_deploy.profile.summary import summarize
from snn_deploy.report.comparisons import comparisons
from tests.report.profiles import profile, without_cutoff
from tests.report.reading import words


def text_of(**changes: Any) -> str:
    return words(comparisons({**summarize(profile()), **changes}))


def on_target(name: str, **changes: Any) -> dict[str, Any]:
    found = {
        "neurocores": 3,
        "tiles": 2,
        "chips": 1,
        "schedules": summarize(profile())["schedules"],
        "energy_note": "",
    }
    return {"target": name, "refusal": "", "found": {**found, **changes}}


def test_operations_stand_beside_multiply_accumulates() -> None:
    text = text_of()

    assert "conventional network with these connections" in text
    assert "multiply-accumulates, counted 20 " in text  # 4 x 2 + 3 x 4 weights
    assert "92.0 pJ (float32) or 6.00 pJ (int8), modelled: M. Horowitz" in text
    assert (
        "this network, with cutoff synaptic operations, measured 2,000 8.00 µJ" in text
    )
    assert "this network, all timesteps synaptic operations, measured 6,000" in text
    assert "other targets" not in text
    assert "NeuroBench" not in text


def test_without_a_cutoff_there_is_one_run() -> None:
    text = words(comparisons(summarize(without_cutoff())))

    assert "with cutoff" not in text
    assert "this network, all timesteps" in text


def test_targets_stand_side_by_side() -> None:
    refused = {"target": "small", "refusal": "fc needs 9 of 8", "found": {}}
    other = on_target("other", neurocores=17, energy_note="inherited")

    text = text_of(targets=[on_target("here"), other, refused])

    assert "with cutoff, one by one; central prices; the others are mapped" in text
    assert "without a goal of compile --optimize here other" in text
    assert "neurocores 3 17" in text
    assert "energy up to the board, modelled 20.0 µJ 20.0 µJ" in text
    assert "Not on small: fc needs 9 of 8." in text
    assert "other: inherited." in text


def test_metrics_of_neurobench_keep_their_names() -> None:
    operations = {"Effective_ACs": 12.5, "Effective_MACs": 8.0, "Dense": 100.0}
    run = {"activation_sparsity": 0.75, "synaptic_operations": operations}
    found = {
        "n_inputs": 30,
        "footprint": 1234,
        "connection_sparsity": 0.25,
        "with_cutoff": run,
        "all_timesteps": run,
    }

    text = text_of(neurobench=found)

    assert "measured, means of 30 inputs with cutoff all timesteps" in text
    assert "footprint 1,234 bytes 1,234 bytes" in text
    assert "connection sparsity 25.0 % 25.0 %" in text
    assert "activation sparsity 75.0 % 75.0 %" in text
    assert "synaptic operations, effective ACs 12.5" in text
    assert "synaptic operations, effective MACs 8 8" in text
    assert "synaptic operations, dense 100 100" in text
