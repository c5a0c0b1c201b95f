"""Fixtures that every test folder uses."""

import gc
import os
import random
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers
from nursery import Nursery

from voxtile.lazy_packages import defer_packages

gc.disable()  # until all tests are found: of fifteen seconds in which they are, four
defer_packages()  # as commands do: half of the seconds in which Lightning is imported

# Tests share the processors with each other's children and with whatever else runs: threads that spin while they wait
# made trainings fifteen times slower there, and small solvers nine times. The suite's own processes are what keeps the
# processors busy, with one thread each. Set before anything loads OpenMP, and inherited by every command under test.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")

# The suite draws the same examples on every machine, so that it says the same of the same code; `make fuzz` draws new
# ones at every run, and what it finds is added to its test as an @example.
settings.register_profile("suite", max_examples=25, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fuzz", max_examples=100, derandomize=False, print_blob=True)
settings.load_profile("suite")
_constants_seen = providers._get_local_constants


def _constants_drawn() -> providers.Constants:
    """Numbers and texts of our modules are drawn, too, but not in the suite: it would hang on what is imported."""
    return providers._local_constants if settings.default.derandomize else _constants_seen()


providers._get_local_constants = _constants_drawn


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave to CI what `cases(n)` leaves out: all cases of a test but n, which are spread evenly over them."""
    tests: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("cases") and not item.get_closest_marker("sweep"):
            tests.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in tests.values():
        few = min(cases[0].get_closest_marker("cases").args[0], len(cases))
        kept = {place * len(cases) // few for place in range(few)}
        for place, item in enumerate(cases):
            if place not in kept:
                item.add_marker(pytest.mark.sweep(ci=True))


def pytest_collection_finish() -> None:
    """What is there by now stays to the end: no garbage collection has to look through it again."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin each test at the same random numbers, whichever came before: also what draws without a seed repeats."""
    random.seed(0)
    for package, seed in (("numpy.random", "seed"), ("torch", "manual_seed")):
        if package in sys.modules:
            getattr(sys.modules[package], seed)(0)


def _test_data_root() -> Path:
    default = Path(__file__).parents[1] / ".." / "shared" / "data"
    return Path(os.environ.get("VOXTILE_TEST_DATA", default)).resolve()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Folder of real test files; tests that need it are skipped where it is absent."""
    root = _test_data_root()
    if not root.is_dir():
        pytest.skip(f"no real test files at {root}; set VOXTILE_TEST_DATA")
    return root


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Callable[[Path], Path]:
    """Builds a package's wheel and installs it into an environment of its own, over this one; gives its python.

    Nothing is downloaded: what the package needs is seen in the environment that the tests run in.
    """

    def install(package: Path) -> Path:
        builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheels").WheelBuilder
        folder = tmp_path_factory.mktemp("installed")
        [wheel] = builder(str(package)).build(directory=str(folder / "dist"), versions=["standard"])
        venv.create(folder / "venv", symlinks=True)
        python = folder / "venv" / "bin" / "python"
        below = f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
        [site] = (folder / "venv").glob("lib/python*/site-packages")
        (site / "below.pth").write_text(below)
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
        subprocess.run([*pip, wheel], check=True)
        return python

    return install


@pytest.fixture(scope="session")
def make_nursery(tmp_path_factory):
    """Makes nurseries, which end with the session."""
    made = []

    def make(imports, call, **options):
        made.append(Nursery(imports, call, tmp_path_factory.mktemp("nursery") / "log", **options))
        return made[-1]

    yield make
    for nursery in made:
        nursery.close()


# The first config that a process reads takes as long as the next five: signatures and docstrings are read for it.
READY_TO_TRAIN = """
import contextlib, io
from voxtile.lazy_packages import defer_packages
defer_packages()
import duckdb, pyarrow.dataset, torch.utils.data
import voxtile.cli.lightning, voxtile.cli.main
with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):
    voxtile.cli.main.main(["fit", "-c", "medical/cxr", "--print_config"])
"""


@pytest.fixture(scope="session")
def training_nursery(make_nursery):
    """Children that are as the command line of trainings once it has read a config; their code defines `run(argv)`."""
    return make_nursery(READY_TO_TRAIN, "run(argv)")


@pytest.fixture(scope="module")
def kept_workers():
    """Runs of a module hand their idle worker processes on: for tests of what workers read, by paths that are whole."""
    from voxtile.engine.worker_process import workers_kept

    with workers_kept():
        yield
