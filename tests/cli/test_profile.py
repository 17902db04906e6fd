import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from snn_deploy.cli import main
from snn_deploy.cli.profile_tables import show
from snn_deploy.costs.energy import PARTS
from tests.cli.conftest import N_TEST, Command, files_in
from tests.hostile.networks import write_all
from tests.report.profiles import early_rows, fixed_rows, profile

COUNTS = [
    "index",
    "input_hash",
    "label",
    "prediction",
    "timesteps",
    "chip_timesteps",
    "stopped_early",
    "gap",
    "spikes",
    "synaptic_operations",
    "packets",
    "hops",
    "crossings",
    "saturations",
    "wraps",
    "run_on_synaptic_operations",
]
ERRORS = ["squared_error", "absolute_error"]  # of values; null for classes
COSTS = [
    f"energy_{part}{band}_j"
    for part in (*PARTS, "run_on")
    for band in ("_low", "", "_high")
] + [
    f"{time}{band}_s"
    for time in ("latency", "period")
    for band in ("_low", "", "_high")
]


@pytest.fixture(scope="module")
def folder(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("profiles") / "profile"
    data = ["--data", str(home / "test.npz"), "--backend", "cpu"]
    status = main(["profile", str(home / "model.snn"), *data, "-o", str(folder)])
    assert status == 0
    return folder


def read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_a_profile_is_a_table_a_summary_and_a_report(folder: Path) -> None:
    report = (folder / "report.html").read_text(encoding="utf-8")

    assert files_in(folder) == [
        "fewer.parquet",
        "fewer_streamed.parquet",
        "fixed.parquet",
        "inputs.parquet",
        "one_timestep.parquet",
        "one_timestep_streamed.parquet",
        "report.html",
        "streamed.parquet",
        "summary.json",
    ]
    assert report.strip()


def test_the_columns_are_those_of_the_contract(folder: Path) -> None:
    table = pq.read_table(folder / "inputs.parquet")

    found = table.column_names
    assert found == [*COUNTS[:8], *ERRORS, *COUNTS[8:], *COSTS, "failure"]
    assert all(table.column(name).null_count == len(table) for name in ERRORS)
    assert table.column("failure").null_count == len(table)
    assert {str(table.schema.field(name).type) for name in COSTS} == {"double"}
    assert str(table.schema.field("stopped_early").type) == "bool"
    others = [name for name in COUNTS if name != "stopped_early"]
    assert {str(table.schema.field(name).type) for name in others} == {"int64"}


def test_there_is_one_row_for_each_input(folder: Path, home: Path) -> None:
    rows = read(folder / "inputs.parquet")

    with np.load(home / "test.npz") as data:
        assert [row["label"] for row in rows] == data["y"].tolist()
    assert [row["index"] for row in rows] == list(range(N_TEST))
    for row in rows:
        assert row["chip_timesteps"] == row["timesteps"] + 4
        assert row["stopped_early"] == (row["timesteps"] < 8)
        assert row["spikes"] > 0
        assert row["packets"] >= row["spikes"]
        assert row["synaptic_operations"] > row["spikes"]


def test_costs_are_low_central_and_high(folder: Path) -> None:
    for row in read(folder / "inputs.parquet"):
        for names in zip(COSTS[::3], COSTS[1::3], COSTS[2::3], strict=True):
            low, central, high = (row[name] for name in names)
            if "injection" in names[1]:
                assert (low, central, high) == (None, None, None)  # has no price
            elif "links" in names[1] or "host" in names[1]:
                assert low == central == high == 0  # one chip, and none polls
            elif "run_on" in names[1]:  # of a row, perhaps nothing
                assert 0 < low <= central <= high or low == high == 0
            else:
                assert 0 < low <= central <= high
        assert row["energy_static_low_j"] < row["energy_static_j"]


def test_the_other_table_holds_the_same_inputs_at_all_timesteps(folder: Path) -> None:
    early, fixed = read(folder / "inputs.parquet"), read(folder / "fixed.parquet")

    assert [row["timesteps"] for row in fixed] == [8] * N_TEST
    assert not any(row["stopped_early"] for row in fixed)
    for stopped, full in zip(early, fixed, strict=True):
        assert stopped["label"] == full["label"]
        assert stopped["spikes"] <= full["spikes"]
        assert stopped["energy_neurocores_j"] <= full["energy_neurocores_j"]


def test_the_summary_holds_the_means_of_the_rows(folder: Path) -> None:
    summary = json.loads((folder / "summary.json").read_text())
    rows = read(folder / "inputs.parquet")

    assert summary["n_inputs"] == N_TEST
    assert summary["backend"] == "cpu"
    assert summary["cutoff"]["rule"] == "risk"
    means = summary["with_cutoff"]
    right = [row["prediction"] == row["label"] for row in rows]
    assert means["accuracy"] == pytest.approx(np.mean(right))
    for name in ("timesteps", "spikes", "energy_neurocores_j", "latency_high_s"):
        expected = np.mean([row[name] for row in rows])
        assert means[f"mean_{name}"] == pytest.approx(expected)
    assert len(summary["accuracy_at_timestep"]) == 8


def test_the_table_on_the_terminal_shows_both_runs(
    command: Command, home: Path, tmp_path: Path
) -> None:
    result = command(
        "profile",
        home / "model.snn",
        "--data",
        home / "test.npz",
        "-o",
        tmp_path / "p",
        "--backend",
        "cpu",
        "--limit",
        2,
        "--full",
    )

    assert result.status == 0
    assert "means of 2 inputs" in result.out
    for text in (
        "with cutoff",
        "one by one",
        "energy to",
        "board",
        "latency",
        "without",
    ):
        assert text in result.out
    assert "streamed" in result.out
    assert "best for " in result.out
    assert "modelled" in result.out
    assert len(read(tmp_path / "p" / "inputs.parquet")) == 2


def test_the_table_shows_what_is_done_after_the_last_timestep_if_anything_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(profile(), is_full=True)
    running_on = capsys.readouterr().out
    nothing = {"run_on_synaptic_operations": 0, "energy_run_on_j": 0.0}
    idle = profile(rows=early_rows(9, **nothing), fixed_rows=fixed_rows(9, **nothing))
    show(idle, is_full=True)

    assert running_on.count("after a layer's last timestep") == 2
    assert "last timestep" not in capsys.readouterr().out


def test_without_the_cutoff_there_is_one_run(
    command: Command, home: Path, tmp_path: Path
) -> None:
    result = command(
        "profile",
        home / "model.snn",
        "--data",
        home / "test.npz",
        "-o",
        tmp_path,
        "--backend",
        "cpu",
        "--no-cutoff",
    )

    rows = read(tmp_path / "inputs.parquet")
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert result.status == 0
    assert [row["timesteps"] for row in rows] == [8] * N_TEST
    assert summary["with_cutoff"] is None
    assert "fixed.parquet" not in files_in(tmp_path)


def test_a_second_profile_in_a_folder_leaves_nothing_of_the_first(
    command: Command, home: Path, tmp_path: Path
) -> None:
    arguments = ("profile", home / "model.snn", "--data", home / "test.npz")
    options = ("-o", tmp_path, "--backend", "cpu", "--limit", 1)

    command(*arguments, *options)
    command(*arguments, *options, "--no-cutoff")

    assert files_in(tmp_path) == [
        "inputs.parquet",
        "report.html",
        "streamed.parquet",
        "summary.json",
    ]


def test_inputs_without_labels_have_no_accuracy(
    command: Command, home: Path, tmp_path: Path
) -> None:
    with np.load(home / "test.npz") as data:
        np.savez(tmp_path / "x.npz", x=data["x"][:2])

    result = command(
        "profile",
        home / "model.snn",
        "--data",
        tmp_path / "x.npz",
        "-o",
        tmp_path / "p",
        "--backend",
        "cpu",
    )

    summary = json.loads((tmp_path / "p" / "summary.json").read_text())
    assert result.status == 0
    assert [row["label"] for row in read(tmp_path / "p" / "inputs.parquet")] == [
        None,
        None,
    ]
    assert summary["with_cutoff"]["accuracy"] is None
    assert summary["accuracy_lost"] is None


def test_one_input_makes_a_summary_that_is_valid_json(
    command: Command, home: Path, tmp_path: Path
) -> None:
    result = command(
        "profile",
        home / "model.snn",
        "--data",
        home / "test.npz",
        "-o",
        tmp_path,
        "--backend",
        "cpu",
        "--limit",
        1,
    )

    assert result.status == 0
    assert json.loads((tmp_path / "summary.json").read_text())["n_inputs"] == 1


@pytest.mark.parametrize("backend", ["auto", "cpu"])
def test_a_few_inputs_are_repeated_on_lava_where_it_is_installed(
    command: Command, tmp_path: Path, backend: str
) -> None:
    pytest.importorskip("lava")
    write_all(tmp_path)

    result = command(
        "profile",
        tmp_path / "model.snn",
        "--data",
        tmp_path / "data.npz",
        "-o",
        tmp_path / "p",
        "--cross-check",
        1,
        "--backend",
        backend,
    )

    assert result.status == 0
    assert "cross-checked 1 inputs on Lava: equal outputs" in result.out


def test_lava_is_not_compared_with_itself(command: Command, home: Path) -> None:
    arguments = ("profile", home / "model.snn", "--data", home / "test.npz")

    result = command(*arguments, "--backend", "lava", "--cross-check", 1)

    assert "leave it out with --backend lava" in result.error()


def test_inputs_that_differ_from_the_calibration_raise_the_alarm(
    command: Command, home: Path, tmp_path: Path
) -> None:
    with np.load(home / "calib.npz") as data:
        x = data["x"][:, :, ::-1, ::-1]
        np.savez(tmp_path / "turned.npz", x=x, y=data["y"])
    arguments = (
        "profile",
        home / "model.snn",
        "--cross-check",
        0,
        "-o",
        tmp_path / "p",
    )

    same = command(*arguments, "--data", home / "calib.npz", "--fail-on-drift")
    turned = command(*arguments, "--data", tmp_path / "turned.npz", "--audit", 1)
    failed = command(*arguments, "--data", tmp_path / "turned.npz", "--fail-on-drift")

    assert (same.status, turned.status, failed.status) == (0, 0, 3)
    assert "drift: scores like those of the calibration" in same.out
    assert "240 of 240 inputs are exact copies of ones that the cutoff" in same.err
    assert "drift: scores differ from those of the calibration" in turned.out
    assert "audit: " in turned.out
    assert "used to calibrate" not in turned.err
    summary = json.loads((tmp_path / "p" / "summary.json").read_text())
    assert summary["drift"]["is_alarm"]
    assert summary["drift"]["n_compared"] == 240
    assert "Drift alarm: scores differ" in (tmp_path / "p" / "report.html").read_text()


def test_few_audited_inputs_are_not_enough(
    command: Command, home: Path, tmp_path: Path
) -> None:
    result = command(
        "profile", home / "model.snn", "--data", home / "test.npz", "--audit", 1,
        "--cross-check", 0, "-o", tmp_path / "p",
    )  # fmt: skip

    assert "of 6 lost, not enough to judge (at least 230)" in result.out


def test_polls_are_charged_as_often_as_they_happen(
    command: Command, home: Path, tmp_path: Path
) -> None:
    latencies = []
    for poll in (1, 8):
        command(
            "profile", home / "model.snn", "--data", home / "test.npz", "--poll", poll,
            "--monitor", "host", "--cross-check", 0, "-o", tmp_path / "p",
        )  # fmt: skip
        summary = json.loads((tmp_path / "p" / "summary.json").read_text())
        latencies.append(summary["schedules"]["cutoff"]["mean_latency_s"])

    # looked at once, at the end, an input costs what all timesteps cost
    full = summary["schedules"]["serial"]["mean_latency_s"]
    assert latencies[1] == pytest.approx(full)
    assert latencies[0] != latencies[1]


@pytest.mark.parametrize("share", ["-1", "2", "nan"])
def test_a_share_that_is_none_is_refused(
    command: Command, home: Path, tmp_path: Path, share: str
) -> None:
    result = command(
        "profile", home / "model.snn", "--data", home / "test.npz", f"--audit={share}",
        "-o", tmp_path / "p",
    )  # fmt: skip

    assert "choose a share from 0 to 1" in result.error()


def test_other_targets_stand_beside_the_networks_own(
    command: Command, home: Path, tmp_path: Path
) -> None:
    result = command(
        "profile", home / "model.snn", "--data", home / "test.npz", "-o",
        tmp_path / "p", "--cross-check", 0, "--targets", "loihi2,loihi1",
    )  # fmt: skip

    assert result.status == 0
    assert "the same integers on each target, with cutoff" in result.out
    assert "not on loihi1: mnist_lif: its integers do not run on loihi1" in result.out
    assert "loihi2: no per-event energy of Loihi 2 is public" in result.out
    summary = json.loads((tmp_path / "p" / "summary.json").read_text())
    own, other, refused = summary["targets"]
    assert [own["target"], other["target"]] == ["loihi-sim", "loihi2"]
    assert own["found"]["schedules"] == summary["schedules"]
    assert "no graded spikes" in refused["refusal"]


@pytest.mark.parametrize(
    ("targets", "why"),
    [
        ("loihi1", "compile the model for loihi1"),
        ("loih1", "no target is called 'loih1'; did you mean 'loihi1'?"),
    ],
)
def test_targets_that_cannot_be_are_refused_before_the_profile(
    command: Command, home: Path, tmp_path: Path, targets: str, why: str
) -> None:
    result = command(
        "profile", home / "model.snn", "--data", home / "test.npz", "-o",
        tmp_path / "p", "--targets", targets,
    )  # fmt: skip

    assert why in result.error()
    assert not (tmp_path / "p").exists()


def test_neurobench_and_a_conventional_network_stand_beside_the_costs(
    command: Command, home: Path, tmp_path: Path
) -> None:
    result = command(
        "profile", home / "model.snn", "--data", home / "test.npz", "-o",
        tmp_path / "p", "--cross-check", 0, "--full",
    )  # fmt: skip

    summary = json.loads((tmp_path / "p" / "summary.json").read_text())
    found = summary["neurobench"]
    assert found["n_inputs"] == N_TEST
    dense = summary["conventional"]["multiply_accumulates"]
    for name, timesteps in (
        ("with_cutoff", summary["with_cutoff"]["mean_timesteps"]),
        ("all_timesteps", 8),
    ):
        operations = found[name]["synaptic_operations"]
        assert operations["Dense"] == pytest.approx(dense * timesteps)
        assert 0 < operations["Effective_MACs"] < operations["Effective_ACs"]
    assert (
        f"NeuroBench, {N_TEST} inputs: footprint {found['footprint']:,}" in result.out
    )
    assert f"{dense:,} multiply-accumulates an input" in result.out
    assert "Horowitz" in result.out
    inspected = command("inspect", home / "model.snn")
    assert f"footprint {found['footprint']:,} bytes" in inspected.out


def test_pictures_are_written_when_asked_for(
    command: Command, home: Path, tmp_path: Path
) -> None:
    data = ("--data", home / "test.npz", "--limit", 4, "--backend", "cpu")

    result = command("profile", home / "model.snn", *data, "-o", tmp_path, "--pictures")

    assert result.status == 0
    names = files_in(tmp_path / "pictures")
    written = f"report.html, {len(names)} figures and tables in"
    assert written in result.out.replace("\n", " ")
    drawings = {"accuracy.svg", "map.svg", "timesteps.svg", "input-0.svg"}
    assert drawings | {"accuracy.png", "accuracy.csv", "inputs.csv"} <= {*names}
    report = (tmp_path / "report.html").read_text(encoding="utf-8")
    command_given = f"snn-deploy profile {home / 'model.snn'} --data"
    assert command_given in report[report.index("<footer>") :]


def test_pictures_go_to_the_folder_that_is_named(
    command: Command, home: Path, tmp_path: Path
) -> None:
    data = ("--data", home / "test.npz", "--limit", 2, "--backend", "cpu")
    folders = ("-o", tmp_path / "p", "--pictures", tmp_path / "figures")

    result = command("profile", home / "model.snn", *data, *folders)

    assert result.status == 0
    assert "front.svg" in files_in(tmp_path / "figures")
    assert not (tmp_path / "p" / "pictures").exists()


def test_pictures_that_cannot_be_written_are_refused_before_the_work(
    command: Command, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "pictures").touch()
    data = ("--data", home / "test.npz", "--limit", 4, "--backend", "cpu")

    result = command("profile", home / "model.snn", *data, "-o", tmp_path, "--pictures")

    assert result.status == 1
    assert "pictures: is a file; give a folder" in result.err
    assert files_in(tmp_path) == ["pictures"]


def test_the_last_line_names_every_file(
    command: Command, home: Path, tmp_path: Path
) -> None:
    data = ("--data", home / "test.npz", "--limit", "9", "--backend", "cpu")
    tables = ("--detail", "--csv")

    result = command("profile", home / "model.snn", *data, *tables, "-o", tmp_path)

    *_, last = result.out.replace(f"{tmp_path}/", "").splitlines()
    names = files_in(tmp_path)
    assert sorted(last.removeprefix("wrote ").split(", ")) == names
    assert "detail.csv" in names


def test_a_file_where_a_folder_is_needed_is_told(
    command: Command, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text("mine")

    result = command(
        "profile", home / "model.snn", "--data", home / "test.npz", "-o", path
    )

    assert result.error() == f"{path}: is a file; give a folder"
    assert path.read_text() == "mine"


def test_another_set_of_prices_is_asked_for_by_name(
    command: Command, home: Path, tmp_path: Path
) -> None:
    what = ("profile", home / "model.snn", "--data", home / "test.npz", "--limit", 3)
    usual, other = (
        [*what, "--prices", name, "-o", tmp_path / name]
        for name in ("davies", "sana-fe")
    )

    assert command(*usual).status == command(*other).status == 0

    found = {}
    for name in ("davies", "sana-fe"):
        found[name] = json.loads((tmp_path / name / "summary.json").read_text())
        assert found[name]["prices"] == name
    mine, theirs = (run["all_timesteps"] for run in found.values())
    assert theirs["mean_energy_neurocores_j"] > mine["mean_energy_neurocores_j"]
    assert theirs["mean_spikes"] == mine["mean_spikes"]
    error = command(*what, "--prices", "mine", "-o", tmp_path / "mine").error()
    assert "no prices are called 'mine'; choose from davies, sana-fe" in error
