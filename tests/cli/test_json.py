"""``--json``: one line, of the numbers that the tables show, and nothing else."""

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snn_deploy.cli import COMMANDS, console, name_of
from tests.cli.conftest import MODEL, Command

# a command line; some of its JSON, as the words beside it say it
Found = dict[str, Any]
LINES: dict[str, Callable[[Found], tuple[str, ...]]] = {
    f"fit {MODEL}": lambda found: (
        f"{found['n_cores']} of {found['n_cores_allowed']} neurocores",
        f" {found['layers'][0]['n_neurons']} ",
    ),
    "fit model.snn": lambda found: (
        f"{found['n_cores']} of {found['n_cores_allowed']} neurocores",
    ),
    f"compile {MODEL} -o again.snn": lambda found: (
        f"{found['n_neurons']} neurons on {found['n_neurocores']} of "
        f"{found['n_neurocores_allowed']} neurocores",
        f"pipeline depth {found['pipeline_depth']}, {found['timesteps']} timesteps",
        f"{len(found['lossy_steps'])} lossy steps",
        f"wrote {found['file']}",
    ),
    "calibrate model.snn --data calib.npz --rule fixed:3": lambda found: (
        f"rule {found['rule']}",
        f"seen: {found['mean_timesteps_calibration']:.2f} of {len(found['beta'])} ",
        f"accuracy lost {found['loss_calibration']:.4f}",
    ),
    "inspect model.snn": lambda found: (
        f"{found['network']} for {found['target']}, sha256 {found['network_sha256']}",
        f"footprint {found['neurobench']['footprint']:,} bytes",
        f"rule {found['cutoff']['rule']}",
        *(step["layer"] for step in found["lossy_steps"]),
        *(row["name"] for row in found["populations"]),
    ),
    f"inspect {MODEL}": lambda found: (
        f"{found['timesteps']} timesteps, encoding {found['encoding']}",
        *(f" {layer['n_values']} " for layer in found["layers"]),
    ),
    "run model.snn --data test.npz --record spikes": lambda found: (
        f"{found['n_inputs']} inputs of {found['timesteps']} timesteps; wrote "
        f"{found['file']}",
    ),
    "profile model.snn --data test.npz --limit 2 --cross-check 0": lambda found: (
        f"{found['network']} on {found['target']}, means of {found['n_inputs']} inputs",
        f"{1e6 * found['all_timesteps']['mean_energy_j']:.1f} µJ",
        found["energy_note"],
    ),
    "verify plain.snn --against model.pt --data test.npz --limit 1 --lava 0": (
        lambda found: (
            f"{found['network']} on {found['target']}: float against chip, "
            f"{found['n_inputs']} inputs of {found['timesteps']} timesteps",
        )
    ),
    "export-c model.snn -o out": lambda found: (
        f"{found['table_bytes']:,} bytes of tables",
        f"{found['code_bytes_at_most']:,} of code",
        f"{found['state_bytes']:,} bytes of RAM",
    ),
    "data digits -o data": lambda found: tuple(
        f"wrote {file['file']}: {file['n_inputs']:,} inputs" for file in found["files"]
    ),
    "doctor": lambda found: tuple(
        f"{one['severity']:8} {one['what']}: {one['found']}"
        for one in found["findings"]
    ),
    "sweep sweep.toml": lambda found: tuple(
        f"{way['mean_timesteps']:.2f}" for way in found["ways"]
    ),
    "targets loihi-sim --costs": lambda found: tuple(
        price["price"] for target in found["targets"] for price in target["prices"]
    ),
}
# these write files and print nothing that a program would want, or only JSON
WITHOUT = {"convert", "demo", "serve", "train"}


@pytest.fixture
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder with networks and inputs."""
    for path in (*home.iterdir(), MODEL):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "sweep.toml").write_text(
        'model = "model.pt"\ncalibration = "calib.npz"\ndata = "test.npz"\n'
        "[vary]\nbudget = [0.05]\n"
    )
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("line", LINES)
def test_the_json_has_what_the_tables_show(
    line: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = io.StringIO()  # that --json keeps from being printed
    monkeypatch.setattr(
        console, "redirect_stdout", lambda _: contextlib.redirect_stdout(words)
    )

    result = command(*line.split(), "--json")

    assert result.status == 0, result.err
    assert result.out.count("\n") == 1
    expected = LINES[line](json.loads(result.out))
    assert expected
    for text in expected:
        assert text in words.getvalue()


def test_every_command_has_the_option_but_some(command: Command) -> None:
    names = {name_of(module) for module in COMMANDS}

    have = {name for name in names if "--json" in command(name, "--help").out}

    assert names - have == WITHOUT


def test_words_are_printed_without_it(command: Command) -> None:
    result = command("targets", "loihi-sim")

    assert "compartments each" in result.out
