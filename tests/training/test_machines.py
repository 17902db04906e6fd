"""machines: which device trains, what is compiled for it, and what is told of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from snn_deploy.data.datasets import Part
from snn_deploy.errors import TrainingError
from snn_deploy.training import machines, recipes, train
from snn_deploy.training.checkpoint import write_checkpoint
from snn_deploy.training.machines import can_fuse, find_device, is_worth_fusing
from snn_deploy.training.meter import Meter
from snn_deploy.training.recipes import Optimizer
from tests.training.test_fine_tuning import FINE_TUNED
from tests.training.test_train import RECIPE, kept_in


@pytest.mark.parametrize(
    ("name", "has_gpu", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_gpu_is_taken_if_there_is_one(
    monkeypatch: pytest.MonkeyPatch, name: str, has_gpu: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)

    assert find_device(name).type == expected


def test_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    with pytest.raises(TrainingError, match=r"device is 'cuda', but torch .* no GPU"):
        find_device("cuda")
    with pytest.raises(TrainingError, match="'tpu'; choose from auto, cpu, cuda"):
        find_device("tpu")


def test_only_long_trainings_are_compiled() -> None:
    # 4 epochs of 40 inputs against minutes
    assert not is_worth_fusing(RECIPE, 40)
    assert is_worth_fusing(RECIPE, 60_000)


def test_loops_that_cannot_be_compiled_are_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(network: object) -> None:
        raise RuntimeError("no C++ compiler\nand many lines more")

    monkeypatch.setattr(machines, "fuse_loops", refuse)

    assert not can_fuse(torch.device("cpu"))
    (warning,) = caplog.messages
    assert "cannot be compiled for cpu (no C++ compiler), so training" in warning


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own workings
def test_compiled_training_is_the_other_one_up_to_rounding(
    bars: Part,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plain = train.fit(FINE_TUNED, bars, tmp_path / "plain")
    monkeypatch.setattr(train, "is_worth_fusing", lambda recipe, n: True)

    fused = train.fit(FINE_TUNED, bars, tmp_path / "fused")

    assert not [message for message in caplog.messages if "compiled" in message]
    assert fused.best_loss == pytest.approx(plain.best_loss, rel=1e-4)
    for key, weights in plain.network.items():
        torch.testing.assert_close(fused.network[key], weights, rtol=1e-3, atol=1e-5)


def test_sgd_moves_by_nesterov_momentum_by_hand(bars: Part, tmp_path: Path) -> None:
    # one weight matrix, two batches of all inputs: the second step starts from the
    # gradient and the momentum of the first
    alone = replace(
        RECIPE.training,
        epochs=1,
        batch_size=36,
        optimizer=Optimizer.SGD,
        momentum=0.5,
        learning_rate=0.1,
        weight_decay=0.25,
        max_shift=0,
    )
    layers = (recipes.Flatten(), recipes.Linear(features=2))
    recipe = replace(
        RECIPE, layers=layers, training=alone, loss=recipes.MeanOutput(), timesteps=1
    )
    used, _ = train._hold_out(bars, recipe)
    network = train.build(recipe, bars)
    x = torch.from_numpy(used.x.copy()).float() / 255
    loss = torch.nn.functional.cross_entropy(
        network(x), torch.from_numpy(used.y.copy())
    )
    loss.backward()  # type: ignore[no-untyped-call]
    weight = network[1].weight
    assert isinstance(weight, torch.Tensor)
    assert weight.grad is not None
    gradient = weight.grad + 0.25 * weight.detach()

    trained = train.fit(recipe, bars, tmp_path)

    # velocity g; Nesterov's step is rate * (g + momentum * velocity)
    expected = weight.detach() - 0.1 * 1.5 * gradient
    torch.testing.assert_close(trained.network["1.weight"], expected)


def test_training_that_goes_on_on_another_device_is_told_of(
    bars: Part, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train.fit(RECIPE, bars, tmp_path)
    path = tmp_path / "checkpoint.pt"
    write_checkpoint(path, replace(kept_in(tmp_path, bars), devices=("cuda",)))

    resumed = train.fit(RECIPE, bars, tmp_path, resume=True)

    (warning,) = caplog.messages
    assert f"{path}: was trained on cuda so far, and goes on on cpu" in warning
    assert resumed.devices == ("cuda", "cpu")


def test_line_for_each_epoch_says_how_fast_and_how_long(
    bars: Part, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 10.0, 10.0, 10.0, 50.0, 50.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    (tuning,) = FINE_TUNED.fine_tuning
    recipe = replace(
        FINE_TUNED,  # 3 timesteps
        training=replace(FINE_TUNED.training, epochs=1),
        fine_tuning=(replace(tuning, epochs=2),),
    )
    start = train._untrained(recipe, train.build(recipe, bars))

    with Meter(recipe, 100, done=start) as meter:
        meter.begin_epoch(0, 0)
        meter.advance(100)
        meter.end_epoch(1.25)

    # 100 of 700 inputs and timesteps took 10 s
    assert capsys.readouterr().err == (
        "tiny: phase 1 of 2, epoch 1 of 1, held-out loss 1.2500, 10 inputs/s, 0:01:00 "
        "left\n"
    )


@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of its own workings
def test_compiled_training_that_is_interrupted_resumes_bit_for_bit(
    bars: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "is_worth_fusing", lambda recipe, n: True)
    unbroken = train.fit(FINE_TUNED, bars, tmp_path / "unbroken")
    train_epoch, n_calls = train._train_epoch, 0

    def break_off(*arguments: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls > 4:  # in the second phase
            raise KeyboardInterrupt
        train_epoch(*arguments)

    monkeypatch.setattr(train, "_train_epoch", break_off)
    with pytest.raises(KeyboardInterrupt):
        train.fit(FINE_TUNED, bars, tmp_path / "broken")
    monkeypatch.setattr(train, "_train_epoch", train_epoch)

    resumed = train.fit(FINE_TUNED, bars, tmp_path / "broken", resume=True)

    for key, weights in unbroken.network.items():
        assert torch.equal(resumed.network[key], weights), key
