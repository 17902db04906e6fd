"""The order in which parts may import one another, and the length of modules."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

PACKAGE = Path(__file__).parent.parent / "snn_deploy"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 500

# Each part with the parts that it may import, all of them further up. A part is a
# module or a folder of the package.
ALLOWED = {
    "version": "",
    "errors": "",
    "extras": "errors",
    "showing": "",
    "names": "",
    "arrays": "",
    "fixedpoint": "arrays",
    "files": "",
    "nn": "extras",
    "chip": "arrays errors files fixedpoint names",
    "ir": "arrays chip errors fixedpoint names showing",
    "importers": "arrays errors extras files fixedpoint ir names nn",
    "exporters": "arrays errors files fixedpoint ir names",
    "compiler": "arrays chip errors files fixedpoint ir names showing",
    "convert": "chip compiler errors exporters extras importers ir",
    "data": "arrays errors files ir",
    "backends": "arrays chip errors fixedpoint ir",
    "cutoff": "arrays backends data errors fixedpoint ir showing",
    "costs": "arrays backends chip ir",
    "artifact": "arrays cutoff errors files ir names version",
    "profile": "arrays artifact backends chip compiler costs cutoff data "
    "errors files importers ir names version",
    "verify": "arrays artifact backends compiler cutoff data errors files "
    "fixedpoint ir profile showing",
    "training": "arrays chip compiler data errors files fixedpoint importers ir nn",
    "report": "arrays chip costs files ir names profile verify",
    "testing": "arrays artifact backends chip compiler data errors importers "
    "ir profile verify",
    "front": "arrays artifact backends chip compiler convert cutoff data errors "
    "exporters files importers ir profile report showing verify version",
    "__init__": "artifact backends chip compiler cutoff data errors front importers "
    "ir profile report verify version",
    "cli": "arrays artifact backends chip compiler convert costs cutoff "
    "data errors extras files front importers ir names profile "
    "report training verify version",
    "__main__": "cli",
}

# Heavy packages, and the modules that may import them: running a .snn needs no torch.
USERS = {
    "torch": "data/tensor_files importers/torch/ nn/ training/",
    "norse": "nn/",
    "dask": "profile/workers",
    "distributed": "profile/workers",
    "lava": "backends/lava/",
    "mlxtend": "data/datasets",
    "sklearn": "data/datasets",
    "networkx": "importers/nir/ importers/torch/recognize/ ir/ compiler/",
    "pandas": "front/profiled",
    "pyarrow": "front/profiled profile/tables profile/traffic",
    "rich": "cli/ front/progress training/meter",
    "safetensors": "artifact",
    "scipy": "backends/counting compiler/ cutoff/ ir/ profile/intervals "
    "profile/neurobench verify/simulate",
    "matplotlib": "front/profiled report/",
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def part_of(name: str) -> str:
    """Return the part of a module, given as ``ir/graph`` or ``ir.graph``."""
    return name.replace("/", ".").partition(".")[0]


def imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the modules that are imported, anywhere in a file, and their names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def own_imports(path: Path) -> Iterator[str]:
    """Yield the modules of this package that are imported, by their full names."""
    for module, _ in imports(path):
        if module.startswith("snn_deploy."):
            yield module


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_its_part_may(path: Path) -> None:
    part = part_of(name_of(path))

    found = {part_of(module.partition(".")[2]) for module in own_imports(path)}

    assert found <= {part, *ALLOWED[part].split()}


def test_imports_run_one_way() -> None:
    parts = list(ALLOWED)

    for position, part in enumerate(parts):
        assert set(ALLOWED[part].split()) <= set(parts[:position]), part


def test_the_table_allows_nothing_that_nobody_needs() -> None:
    used: dict[str, set[str]] = {part: set() for part in ALLOWED}
    for path in MODULES:
        part = part_of(name_of(path))
        mine = {part_of(module.partition(".")[2]) for module in own_imports(path)}
        used[part] |= mine - {part}

    assert used == {part: set(allowed.split()) for part, allowed in ALLOWED.items()}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_imports_the_package_itself(path: Path) -> None:
    names = [names for module, names in imports(path) if module == "snn_deploy"]

    assert names == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_belong(path: Path) -> None:
    packages = {module.partition(".")[0] for module, _ in imports(path)}

    for package in packages & set(USERS):
        places = tuple(USERS[package].split())
        assert name_of(path).startswith(places), package


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("cutoff/**/*.py")), ids=name_of)
def test_the_host_sees_only_the_protocols_of_the_backends(path: Path) -> None:
    backends = {m for m in own_imports(path) if m.startswith("snn_deploy.backends")}

    assert backends <= {"snn_deploy.backends.protocol", "snn_deploy.backends.results"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_too_long(path: Path) -> None:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())

    assert n_lines <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


# Names of several classes; this list may
# only become shorter.
SHARED_NAMES = """
    Activity BatchNorm Flatten Lif Linear Meter Qcfs Rcs Residual Schedule Tebn Training
"""


def test_no_modules_import_one_another() -> None:
    """Imports inside functions and for types alone are imports, too."""
    names = {name_of(path).replace("/", ".") for path in MODULES}
    graph = nx.DiGraph()
    for path in MODULES:
        for module, members in imports(path):
            inside = module.removeprefix("snn_deploy.")
            found = {inside, *(f"{inside}.{member}" for member in members)} & names
            mine = name_of(path).replace("/", ".")
            graph.add_edges_from((mine, other) for other in found)

    circles = [c for c in nx.strongly_connected_components(graph) if len(c) > 1]

    assert circles == []


def test_no_two_classes_have_one_name() -> None:
    names = Counter(
        node.name
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    )

    assert {name for name, n in names.items() if n > 1} <= {*SHARED_NAMES.split()}
