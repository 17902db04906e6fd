"""Options and marks of the test suite."""

import signal

import pytest
from hypothesis import HealthCheck, settings

# what make test-fast leaves out: other programs and frameworks, killed processes,
# random proofs with many draws
NOT_FAST = (
    "backends/test_lava",
    "browser/",
    "cli/test_train",
    "compiler/test_checked",
    "conformance/",
    "cutoff/test_certain",
    "cutoff/test_guarantee",
    "exporters/test_onnx",
    "hostile/",
    "importers/",
    "nn/",
    "peers/",
    "profile/test_conservation",
    "profile/test_lava_faults",
    "profile/test_workers",
    "cli/test_profile_resumed",
    "support/",
    "test_docs",
    "test_examples",
    "test_systems",
    "test_testing",
    "test_wheel",
    "training/",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--run-slow", action="store_true", help="run slow tests as well")
    parser.addoption("--fast", action="store_true", help="run the fast tests only")
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite what tests compare with"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "slow: takes minutes; runs with --run-slow")
    # in the background Ctrl-C is ignored, which its tests and their processes inherit
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # how long an example takes says how loaded the machine is
    settings.register_profile(
        "any machine",
        deadline=None,
        max_examples=100 if config.getoption("--run-slow") else 40,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("any machine")


def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    if config.getoption("--fast"):
        slow = [item for item in items if _is_slow(item)]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if not _is_slow(item)]
    if config.getoption("--run-slow"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="slow: runs with --run-slow"))


def _is_slow(item: pytest.Item) -> bool:
    place = item.nodeid.partition("tests/")[2]
    return place.startswith(NOT_FAST)


@pytest.fixture(params=["reference", "lava"])
def other_backend(request: pytest.FixtureRequest) -> str:
    """Return what the cpu backend is compared with; without Lava it is skipped."""
    name: str = request.param
    if name == "lava":
        pytest.importorskip("lava.proc", reason="needs Lava", exc_type=ImportError)
    return name
