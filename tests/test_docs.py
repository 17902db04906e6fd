"""The pages: their Python runs, their commands exist; notebooks: ``make docs``."""

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import snntorch
import torch
from torch import nn

import snn_deploy as sd
from snn_deploy.chip.target_file import read_target
from snn_deploy.cli import _parser
from snn_deploy.nn.neurons import Qcfs
from tests.build import rng

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))
    if path.name not in ("CHANGELOG.md", "commands.md")  # past; written by docs/conf.py
)
BLOCK = re.compile(r"^```(?:python|\{code-block\} python)\n(.*?)^```$", re.M | re.S)
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.M | re.S)
FRAMEWORKS = ("norse", "sinabs", "snntorch", "spikingjelly")
MOST_LINES = 10  # from nothing to a profile


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def blocks() -> Iterator[Any]:
    """Yield the Python that is no cell of a notebook and no doctest."""
    for path in PAGES:
        for number, code in enumerate(BLOCK.findall(text_of(path))):
            if not code.startswith(">>>"):
                marks = [pytest.mark.slow] if "load_split(" in code else []
                yield pytest.param(code, id=f"{name_of(path)}-{number}", marks=marks)


class Spiking(nn.Module):
    """Leaky neurons in a loop over time."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(28 * 28, 10)
        self.neurons = snntorch.Leaky(beta=0.9, reset_mechanism="zero")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        voltage, spikes = self.neurons.init_leaky(), []
        for _ in range(8):
            spike, voltage = self.neurons(self.layer(x.flatten(1)), voltage)
            spikes.append(spike)
        return torch.stack(spikes)


def given(code: str) -> dict[str, Any]:
    """Return what a page's reader has: a model, inputs and labels."""
    draw, shape = rng(), (1, 28, 28)
    model: nn.Module = Spiking()
    if "(3, 32, 32)" in code:
        shape = (3, 32, 32)
        layers = nn.Linear(3 * 32 * 32, 8), Qcfs(levels=8, threshold=1.0)
        model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(8, 10))
    x, y = draw.uniform(size=(40, *shape)), draw.integers(0, 10, 40)
    parts = {f"{what}_{part}": v for what, v in (("x", x), ("y", y))
             for part in ("cal", "test")}  # fmt: skip
    tensors = torch.tensor(x, dtype=torch.float32), torch.tensor(y)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    return {
        **parts,
        "x": x,
        "model": model,
        "loader": [tensors],
        **dict.fromkeys(("optimizer", "slower", "slowest"), optimizer),
        "read_target": read_target,
        "snn_deploy": sd,
    }


@pytest.mark.parametrize("code", [*blocks()])
def test_python_of_a_page_runs(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "profile/inputs.parquet" in code:
        names = given(code)
        net = sd.compile(names["model"], input_shape=(1, 28, 28), timesteps=8)
        net.profile(names["x"], limit=2, progress=False).save("profile")

    exec(code, given(code))


def commands(path: Path) -> set[str]:
    """Return what follows ``snn-deploy`` in the code of a page."""
    text = text_of(path)
    spans = [
        " ".join(span.split()) for span in re.findall(r"`(snn-deploy [^`]+)`", text)
    ]
    fenced = "".join(re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.M | re.S))
    indented = "\n".join(re.findall(r"^ {4}(.*)$", text, re.M))
    lines = re.findall(r"^(?:\$ )?(snn-deploy .*)$", f"{fenced}\n{indented}", re.M)
    shown = [line.partition("#")[0].strip() for line in (*spans, *lines)]
    return {line.removeprefix("snn-deploy ") for line in shown}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_commands_of_a_page_exist_with_their_options(path: Path) -> None:
    (known,) = (
        action
        for action in _parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    for line in commands(path):
        name, *words = shlex.split(line)
        if name == "COMMAND":
            continue
        assert name in known.choices, line
        options = known.choices[name]._option_string_actions
        asked = {word.partition("=")[0] for word in words if word.startswith("-")}
        assert asked <= {*options, "-"}, line


def n_lines(code: str) -> int:
    """Return the lines that say something."""
    return sum(bool(line.strip()) for line in code.splitlines())


def test_start_is_ten_lines_from_nothing() -> None:
    (code,) = BLOCK.findall(text_of(ROOT / "docs" / "start.md"))

    assert "sd.compile(" in code
    assert ".profile(" in code
    assert n_lines(code) <= MOST_LINES


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_from_a_trained_module_to_a_profile_are_ten_lines(name: str) -> None:
    cells = CELL.findall(text_of(ROOT / "docs" / "tutorials" / f"{name}.md"))
    (trained,) = (i for i, code in enumerate(cells) if "optimizer.step()" in code)
    code = "".join(cells[trained + 1 :])

    assert ".profile(" in code
    assert n_lines(code) + len(("import", "data set", "digits")) <= MOST_LINES
