"""targets --costs: every constant of the model, with where it comes from."""

from pathlib import Path

import pytest

from snn_deploy.files import packaged_folder
from snn_deploy.target_file import target_names
from tests.cli.conftest import Command


@pytest.mark.parametrize("name", target_names())
def test_every_price_stands_there_with_its_source(command: Command, name: str) -> None:
    result = command("targets", name, "--costs")

    assert result.status == 0
    for text in ("23.6 pJ", "35.5 pJ", "1.70 pJ", "104 mW", "5.94 µJ", "350 µs"):
        assert text in result.out
    for text in ("Davies 2018", "Frady 2020", "Blouw 2019", "no public source"):
        assert text in result.out
    inherited = "no per-event energy of Loihi 2 is public"
    assert (inherited in result.out) == (name != "loihi1")


def test_a_target_without_costs_has_unknown_ones(
    command: Command, tmp_path: Path
) -> None:
    text = (packaged_folder("targets") / "loihi1.toml").read_text(encoding="utf-8")
    path = tmp_path / "bare.toml"
    path.write_text(text[: text.index("[cost.synaptic_operation]")], encoding="utf-8")

    result = command("targets", path, "--costs")

    assert result.status == 0
    assert "23.6 pJ" not in result.out
    assert result.out.count("no public source") > 15


def test_a_misspelled_target_is_refused(command: Command) -> None:
    error = command("targets", "lohi1", "--costs").error()

    assert "did you mean 'loihi1'?" in error
