"""What the program says about itself, and the forms that options take."""

import shlex

import pytest

from snn_deploy.cli import COMMANDS, GROUPS, _parser, main, name_of
from snn_deploy.cli.reading import share


def test_without_a_command_it_shows_all_of_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0

    shown = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {name_of(command):10} " in shown


@pytest.mark.parametrize(
    "example", [example for group in GROUPS.values() for example in group.values()]
)
def test_every_example_is_a_command_line(example: str) -> None:
    _parser().parse_args(shlex.split(example))


@pytest.mark.parametrize(
    ("text", "value"), [("0.01", 0.01), ("1%", 0.01), ("2.5 %", 0.025), ("0", 0.0)]
)
def test_a_share_is_a_fraction_or_percent(text: str, value: float) -> None:
    assert share(text) == value


@pytest.mark.parametrize("text", ["one", "", "%", "1%x"])
def test_what_is_no_share_is_told(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["calibrate", "net.snn", "--data", "x.npz", "--budget", text])

    assert "is no share; write it like 0.01 or 1%" in capsys.readouterr().err


def test_compile_takes_loihi_sim_and_fewer_bits(
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = _parser().parse_args(["compile", "model.pt", "--weight-bits", "4"])

    assert options.target == "loihi-sim"
    assert options.weight_bits == 4
