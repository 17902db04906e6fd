"""``__all__`` is what ``import snn_deploy`` offers."""

import ast
import re
from pathlib import Path

import pytest

import snn_deploy
import snn_deploy.errors

SOURCE = Path(snn_deploy.__file__).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", snn_deploy.__all__)
def test_every_public_name_exists_and_has_a_docstring(name: str) -> None:
    value = getattr(snn_deploy, name)

    assert value is not None
    if name != "__version__":
        assert value.__doc__
        assert value.__module__.startswith("snn_deploy.")


def test_the_reference_has_every_name() -> None:
    page = (Path(__file__).parent.parent / "docs/reference/python.md").read_text(
        "utf-8"
    )
    errors = {name for name in snn_deploy.__all__ if name.endswith("Error")}

    assert "automodule:: snn_deploy.errors" in page
    for name in {*snn_deploy.__all__[1:]} - errors:
        assert re.search(rf"\.{name}$", page, re.M), name


def test_every_error_is_public() -> None:
    errors = {name for name, value in vars(snn_deploy.errors).items()
              if isinstance(value, type) and issubclass(value, Exception)}  # fmt: skip

    assert errors <= {*snn_deploy.__all__}


def test_the_names_are_sorted_and_there_is_one_of_each() -> None:
    first, *rest = snn_deploy.__all__

    assert first == "__version__"
    assert rest == sorted(set(rest))


def test_type_checkers_see_the_names_that_exist_at_run_time() -> None:
    tree = ast.parse(SOURCE)
    imported = [
        alias.asname
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]

    assert sorted(map(str, imported)) == snn_deploy.__all__[1:]


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'sav'"):
        _ = snn_deploy.sav


def test_the_version_is_one_of_the_packaging_standard() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", snn_deploy.__version__)
