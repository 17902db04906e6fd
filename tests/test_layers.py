"""The order in which parts may import one another, and the length of modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "snn_deploy"
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 500

# Each part with the parts that it may import, all of them further up. A part is a
# module or a folder of the package; ``training.neurons`` and ``training.tebn``, which
# importers know, lie deeper than the rest of ``training``, which saves models.
ALLOWED = {
    "archives": "",
    "arrays": "",
    "errors": "",
    "files": "",
    "fixedpoint": "arrays",
    "results": "arrays",
    "toml_file": "",
    "names": "",
    "neurocore": "arrays errors",
    "target": "arrays errors names neurocore",
    "target_file": "errors files neurocore target toml_file",
    "spikes": "arrays errors",
    "ir": "arrays errors fixedpoint names neurocore spikes target",
    "inputs": "archives arrays errors ir spikes",
    "training.neurons": "",
    "training.tebn": "",
    "importers": "archives arrays errors files fixedpoint ir names spikes "
    "training.neurons training.tebn",
    "exporters": "arrays errors files fixedpoint ir names",
    "passes": "arrays errors fixedpoint ir names neurocore spikes target",
    "backends": "arrays errors fixedpoint ir results spikes",
    "recording": "arrays backends errors files inputs ir spikes",
    "host": "arrays backends errors fixedpoint ir results spikes",
    "serving": "arrays backends host inputs ir results spikes",
    "costs": "arrays ir results target",
    "artifact": "archives arrays errors files host ir",
    "pipeline": "errors ir passes target",
    "optimize": "arrays backends costs errors host ir results spikes",
    "conversion_gap": "errors inputs ir pipeline",
    "convert": "errors exporters importers ir pipeline target",
    "training": "arrays errors files fixedpoint importers inputs ir passes pipeline "
    "spikes target target_file toml_file training.neurons training.tebn",
    "profile": "arrays artifact backends costs errors files host inputs ir names "
    "passes results spikes target",
    "verify": "arrays artifact backends errors fixedpoint inputs ir passes pipeline "
    "profile spikes",
    "report": "arrays costs files ir names profile target verify",
    "crosscheck": "artifact backends errors host inputs results",
    "calibrating": "arrays artifact backends host inputs",
    "demo": "artifact files importers inputs ir pipeline profile target_file",
    "sweep_file": "errors target_file toml_file",
    "sweep": "artifact backends calibrating errors files host importers inputs ir "
    "pipeline profile sweep_file target_file",
    "fit": "arrays errors ir neurocore passes pipeline target",
    "doctor": "arrays backends errors importers ir pipeline spikes target_file",
    "testing": "arrays artifact backends errors importers inputs ir pipeline profile "
    "recording target_file",
    "cli": "arrays artifact backends calibrating conversion_gap convert costs "
    "crosscheck demo doctor errors files fit host importers inputs ir names "
    "neurocore "
    "optimize pipeline profile recording report results serving sweep sweep_file "
    "target target_file training verify",
    "__init__": "artifact backends host importers inputs pipeline profile report "
    "target_file",
    "__main__": "cli",
}

# Heavy packages, and the modules that may import them: running a .snn needs no torch.
USERS = {
    "torch": "importers/torch/cells importers/torch/check importers/torch/checkpoint "
    "importers/torch/feedback importers/torch/frameworks importers/torch/collected "
    "importers/torch/file importers/torch/norse "
    "importers/torch/pt2 importers/torch/module importers/torch/rates importers/torch/sinabs "
    "importers/torch/snntorch importers/torch/spikingjelly importers/torch_ importers/torch/tracing "
    "importers/torch/wrappers "
    "training/",
    "norse": "training/",
    "dask": "profile/workers",
    "distributed": "profile/workers",
    "lava": "backends/lava/backend",
    "mlxtend": "data/datasets",
    "sklearn": "data/datasets",
    "networkx": "importers/nir/reader ir/ passes/",
    "pyarrow": "profile/tables profile/traffic",
    "rich": "cli/ training/meter",
    "safetensors": "artifact",
    "scipy": "backends/counting host/ ir/dynamics ir/links ir/mapped compiler/map/anneal "
    "compiler/map/blocks "
    "compiler/map/place profile/intervals profile/neurobench verify/simulate",
    "matplotlib": "report/",
}


def name_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def part_of(name: str) -> str:
    """Return the part of a module, given as ``ir/graph`` or ``ir.graph``."""
    folder, *rest = name.replace("/", ".").split(".")
    module = ".".join((folder, *rest[:1]))
    return module if module in ("training.neurons", "training.tebn") else folder


def imports(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the modules that are imported, anywhere in a file, and their names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            yield node.module or "", [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)


def own_imports(path: Path) -> Iterator[str]:
    """Yield the modules of this package that are imported, by their full names."""
    for module, names in imports(path):
        if module == "snn_deploy.training":
            yield from (f"{module}.{name}" for name in names)
        elif module.startswith("snn_deploy."):
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
def test_the_package_itself_is_asked_for_its_version_only(path: Path) -> None:
    names = [names for module, names in imports(path) if module == "snn_deploy"]

    assert names in ([], [["__version__"]])


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_heavy_packages_are_imported_where_they_belong(path: Path) -> None:
    packages = {module.partition(".")[0] for module, _ in imports(path)}

    for package in packages & set(USERS):
        places = tuple(USERS[package].split())
        assert name_of(path).startswith(places), package


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("host/*.py")), ids=name_of)
def test_the_host_sees_only_the_protocols_of_the_backends(path: Path) -> None:
    backends = {m for m in own_imports(path) if m.startswith("snn_deploy.backends")}

    assert backends <= {"snn_deploy.backends"}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_is_too_long(path: Path) -> None:
    n_lines = len(path.read_text(encoding="utf-8").splitlines())

    assert n_lines <= MAX_LINES


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
