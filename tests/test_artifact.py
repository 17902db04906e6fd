import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from snn_deploy.arrays import AnyArray
from snn_deploy.artifact import (
    VERSION,
    Artifact,
    _manifest_sha256,
    _write_zip,
    pack,
    read_artifact,
    write_artifact,
)
from snn_deploy.backends.registry import open_backend
from snn_deploy.chip.target_file import read_target
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.cutoff.monitor import collect_scores
from snn_deploy.errors import ArtifactError, CalibrationError
from snn_deploy.files.writing import packaged_folder
from snn_deploy.importers.registry import load_model
from snn_deploy.ir.codec import encode
from snn_deploy.ir.graph import Graph
from snn_deploy.ir.mapped import MappedNetwork
from snn_deploy.ir.quantized import UPDATE_ORDER
from tests import build
from tests.hostile.networks import calibration, write_model


def network(graph: Graph | None = None) -> MappedNetwork:
    layers = (
        build.linear("first", 6, 8),
        build.lif("neurons", (8,)),
        build.linear("last", 8, 3, seed=2),
    )
    return compile_model(graph or build.chain(*layers), read_target("loihi-sim"))


def written(artifact: Artifact, path: Path) -> bytes:
    write_artifact(artifact, path)
    return path.read_bytes()


def content(value: MappedNetwork) -> tuple[str, dict[str, bytes]]:
    tensors: dict[str, AnyArray] = {}
    text = json.dumps(encode(value, tensors))
    return text, {name: array.tobytes() for name, array in tensors.items()}


# reproducible


def test_two_compilations_are_byte_identical(tmp_path: Path) -> None:
    first = written(pack(network()), tmp_path / "a.snn")
    second = written(pack(network()), tmp_path / "b.snn")

    assert first == second


PROGRAM = """
import sys
from pathlib import Path
from snn_deploy.artifact import pack, write_artifact
from snn_deploy.importers.registry import load_model
from snn_deploy.compiler.pipeline import compile_model
from snn_deploy.chip.target_file import read_target
graph = load_model(Path(sys.argv[1]))
write_artifact(pack(compile_model(graph, read_target("loihi-sim"))), Path(sys.argv[2]))
"""


def test_processes_with_other_hash_seeds_write_the_same_bytes(tmp_path: Path) -> None:
    write_model(tmp_path / "model.pt")
    hashes = set()

    for seed in ("0", "12345"):
        path = tmp_path / f"{seed}.snn"
        arguments = [
            sys.executable,
            "-c",
            PROGRAM,
            str(tmp_path / "model.pt"),
            str(path),
        ]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC+{seed[0]}"}
        subprocess.run(arguments, check=True, env=environment)
        hashes.add(hashlib.sha256(path.read_bytes()).hexdigest())

    assert len(hashes) == 1


def test_what_was_read_is_written_with_the_same_bytes(tmp_path: Path) -> None:
    plain = pack(network())
    first = written(pack(network(), calibration(plain.sha256, 6)), tmp_path / "a.snn")

    again = written(read_artifact(tmp_path / "a.snn"), tmp_path / "b.snn")

    assert again == first


# round trip


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    mapped = network()
    write_artifact(pack(mapped), tmp_path / "a.snn")

    found = read_artifact(tmp_path / "a.snn")

    assert content(found.network) == content(mapped)
    assert found.calibration is None
    assert found.sha256 == pack(mapped).sha256


def test_a_network_runs_from_its_file_as_it_ran_before(tmp_path: Path) -> None:
    mapped = network()
    stimuli = list(enumerate(build.images(4, (6,))))
    write_artifact(pack(mapped), tmp_path / "a.snn")
    found = read_artifact(tmp_path / "a.snn").network

    def scores(value: MappedNetwork) -> AnyArray:
        return collect_scores(open_backend("cpu").load(value), value, stimuli)

    np.testing.assert_array_equal(scores(found), scores(mapped))


def test_the_arrays_that_are_read_cannot_be_changed(tmp_path: Path) -> None:
    write_artifact(pack(network()), tmp_path / "a.snn")

    graph = read_artifact(tmp_path / "a.snn").network.graph

    assert not graph.populations[0].threshold.flags.writeable
    assert not graph.projections[0].synapses.weights.flags.writeable


# calibration


def test_the_hash_of_the_network_leaves_the_calibration_out(tmp_path: Path) -> None:
    plain = pack(network())
    calibrated = pack(network(), calibration(plain.sha256, 6))

    write_artifact(calibrated, tmp_path / "a.snn")

    found = read_artifact(tmp_path / "a.snn")
    assert found.sha256 == plain.sha256
    assert found.calibration is not None
    assert vars(found.calibration).keys() == vars(calibrated.calibration).keys()
    np.testing.assert_array_equal(
        found.calibration.betas, calibration(plain.sha256, 6).betas
    )


def test_a_calibration_of_another_network_is_refused() -> None:
    with pytest.raises(CalibrationError, match="calibrated on another network; run"):
        pack(network(), calibration("0" * 64))


def test_a_calibration_for_other_timesteps_is_refused() -> None:
    sha256 = pack(network()).sha256

    with pytest.raises(
        CalibrationError, match="for 7 timesteps, an input lasts 6; run snn-deploy"
    ):
        pack(network(), calibration(sha256, 7))


def test_networks_that_differ_in_one_weight_have_other_hashes() -> None:
    weight = build.linear("first", 6, 8).weight.copy()
    weight[0, 0] += 1
    layers = (
        build.linear("first", 6, 8),
        build.lif("neurons", (8,)),
        build.linear("last", 8, 3, seed=3),
    )

    assert pack(network()).sha256 != pack(network(build.chain(*layers))).sha256


# the file


def test_the_file_is_a_stored_zip_of_json_and_tensors(tmp_path: Path) -> None:
    write_artifact(pack(network()), tmp_path / "a.snn")

    with zipfile.ZipFile(tmp_path / "a.snn") as archive:
        entries = archive.infolist()
        manifest = json.loads(archive.read("manifest.json"))
        tensors = archive.read("tensors.safetensors")

    assert [e.filename for e in entries] == ["manifest.json", "tensors.safetensors"]
    assert {e.compress_type for e in entries} == {zipfile.ZIP_STORED}
    assert {e.date_time for e in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert manifest["format"] == "snn-deploy network"
    assert manifest["version"] == VERSION
    assert manifest["update_order"] == list(UPDATE_ORDER)
    assert manifest["tensors_sha256"] == hashlib.sha256(tensors).hexdigest()


def test_nothing_in_the_file_is_a_pickle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a pickle was opened")

    write_artifact(pack(network()), tmp_path / "a.snn")
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(f"pickle.{name}", refuse)

    assert read_artifact(tmp_path / "a.snn").network.graph.name == "chain"


@pytest.mark.parametrize("name", ["mnist_counts", "mnist_lif", "mnist_qcfs"])
def test_reference_models_are_under_a_megabyte_compiled(
    tmp_path: Path, name: str
) -> None:
    graph = load_model(packaged_folder("models") / name / "model.pt")

    size = len(written(pack(network(graph)), tmp_path / "a.snn"))

    assert size < 1_000_000


# files of another program, whose checksums are right


def forge(path: Path, change: Callable[[dict[str, object]], None]) -> None:
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        tensors = archive.read("tensors.safetensors")
    change(manifest["network"])
    del manifest["manifest_sha256"]
    manifest["manifest_sha256"] = _manifest_sha256(manifest)
    _write_zip(path, json.dumps(manifest).encode(), tensors)


def test_another_update_order_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.snn"
    write_artifact(pack(network()), path)
    with zipfile.ZipFile(path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
        tensors = archive.read("tensors.safetensors")
    del manifest["manifest_sha256"]
    manifest["update_order"].reverse()
    manifest["manifest_sha256"] = _manifest_sha256(manifest)
    _write_zip(path, json.dumps(manifest).encode(), tensors)

    with pytest.raises(ArtifactError, match="computes in another order; compile again"):
        read_artifact(path)


def lead_nowhere(network: dict[str, object]) -> None:
    network["graph"]["projections"][0]["target"] = "nobody"  # type: ignore[index]


def read_out_nobody(network: dict[str, object]) -> None:
    network["graph"]["output"] = "nobody"  # type: ignore[index]


def swap_weights(network: dict[str, object]) -> None:
    first, second = network["graph"]["projections"]  # type: ignore[index]
    first["synapses"], second["synapses"] = second["synapses"], first["synapses"]


def arrive_before_sending(network: dict[str, object]) -> None:
    network["graph"]["projections"][0]["delay"] = -3  # type: ignore[index]


def shrink_a_population(network: dict[str, object]) -> None:
    network["graph"]["populations"][0]["shape"] = [7]  # type: ignore[index]


def take_a_scale_for_a_threshold(network: dict[str, object]) -> None:
    population = network["graph"]["populations"][0]  # type: ignore[index]
    population["threshold"] = population["scale"]


def lose_a_neurocore(network: dict[str, object]) -> None:
    network["cores"].pop()  # type: ignore[attr-defined]


def lay_a_population_twice(network: dict[str, object]) -> None:
    network["cores"].append(network["cores"][0])  # type: ignore[attr-defined, index]


def show_no_timesteps(network: dict[str, object]) -> None:
    network["graph"]["training"]["timesteps"] = 0  # type: ignore[index]


def spoil_the_chip(network: dict[str, object]) -> None:
    network["target"]["neurocore"]["compartments"] = 0  # type: ignore[index]


@pytest.mark.parametrize(
    "change",
    [
        lead_nowhere,
        read_out_nobody,
        swap_weights,
        arrive_before_sending,
        shrink_a_population,
        take_a_scale_for_a_threshold,
        lose_a_neurocore,
        lay_a_population_twice,
        show_no_timesteps,
        spoil_the_chip,
    ],
)
def test_a_network_that_cannot_be_is_refused_whatever_its_checksums(
    tmp_path: Path, change: Callable[[dict[str, object]], None]
) -> None:
    path = tmp_path / "a.snn"
    write_artifact(pack(network()), path)
    forge(path, change)

    with pytest.raises(ArtifactError) as caught:
        read_artifact(path)

    assert "damaged or edited" in str(caught.value)
    assert "checksum" not in str(caught.value)


# versions


def types_in(kind: Any) -> Iterator[type]:
    """Yield the data types that a value of this type is stored with."""
    if isinstance(kind, type) and is_dataclass(kind):
        yield kind
        for hint in get_type_hints(kind).values():
            yield from types_in(hint)
    for part in get_args(kind):
        yield from types_in(part)


def test_what_a_network_is_stored_as_changes_with_the_version_alone(
    request: pytest.FixtureRequest,
) -> None:
    """Else a network of before is called damaged: raise VERSION, then update this."""
    golden = Path(__file__).parent / "golden" / "stored.txt"
    lines = {
        f"{kind.__name__}: {' '.join(sorted(field.name for field in fields(kind)))}"
        for kind in types_in(Artifact)
    }
    text = "\n".join([f"version {VERSION}", *sorted(lines), ""])
    if request.config.getoption("--update-golden"):
        golden.write_text(text, encoding="utf-8")

    assert text == golden.read_text(encoding="utf-8")
