"""tensor_files: tensors in .pt files, and nothing that runs code."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from snn_deploy.data.data import load_arrays
from snn_deploy.errors import DataError

X, Y = torch.arange(12.0).reshape(3, 4) / 12, torch.tensor([0, 1, 1])


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (X, "x"),
        ((X, Y), "xy"),
        ([X], "x"),
        ({"x": X, "y": Y}, "xy"),
        ({"x": X.to(torch.bfloat16), "y": [0, 1, 1]}, "xy"),
        ({"x": X[:, ::2], "y": Y}, "xy"),
    ],
)
def test_tensors_are_read_as_arrays(tmp_path: Path, content: Any, names: str) -> None:
    path = tmp_path / "data.pt"
    torch.save(content, path)

    found = load_arrays(path)

    assert [*found] == [*names]
    given = content["x"] if isinstance(content, dict) else content
    given = given if isinstance(given, torch.Tensor) else given[0]
    np.testing.assert_array_equal(found["x"], given.float().numpy())
    if "y" in names:
        np.testing.assert_array_equal(found["y"], Y.numpy())


class Bomb:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("boom"),))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (Bomb(), "holds more than tensors, or is damaged"),
        (TensorDataset(X, Y), r"any code, store it with torch.save\(\{'x': x, 'y': y"),
        ((X, Y, Y), "holds a tuple; store it with"),
        ({}, "holds a dict; store it"),
        ({"x": "a"}, "x is no tensor of numbers"),
        (X.to_sparse(), "holds more than tensors"),
        (torch.zeros(1).expand(1 << 40), r"1,099,511,627,776 .*store x\.clone\(\)|4,3"),
        ({"format": 1, "graph": "", "tensors": {}}, "holds a model, no inputs"),
    ],
)
def test_other_objects_are_refused_and_never_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: Any, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.pt"
    torch.save(content, path)

    with pytest.raises(DataError, match=words):
        load_arrays(path)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", pickle.dumps(Bomb()), b"text"])
def test_files_of_another_kind_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "data.pth"
    path.write_bytes(content)

    with pytest.raises(DataError, match="holds more than tensors, or is damaged"):
        load_arrays(path)
    assert not (tmp_path / "boom").exists()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.pt"
    torch.save({"x": X}, path)
    content = bytearray(path.read_bytes())
    content[content.index(X.numpy().tobytes())] ^= 1
    path.write_bytes(content)

    with pytest.raises(DataError, match="is damaged"):
        load_arrays(path)
