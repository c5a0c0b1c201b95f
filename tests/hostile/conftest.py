"""Commands as a user calls them, with worker processes: what they said, what it cost, and the rows that they left."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

BASE_BYTES = 512 << 20  # interpreter, numpy, pyarrow and a domain's libraries, without any outside file


def _maker(name: str) -> ModuleType:
    """A generator of hostile files beside this file."""
    spec = importlib.util.spec_from_file_location(f"hostile_{name}", Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class Run:
    """A command that has ended.

    Attributes:
        status: exit status.
        said: standard output and error.
        peak_bytes: largest resident memory of the command or of one of its processes.
        corpus: that it wrote.
    """

    status: int
    said: str
    peak_bytes: int
    corpus: Path

    def rows(self) -> list[dict[str, Any]]:
        """The ledger; sources by their path where the map beside the corpus knows it."""
        rows = ds.dataset(self.corpus / "ledger").to_table().to_pylist()
        keys = self.corpus.with_name(self.corpus.name + ".sources.parquet")
        paths = {}
        if keys.is_file():
            table = pq.read_table(keys)
            paths = dict(zip(table["source"].to_pylist(), table["path"].to_pylist(), strict=True))
        return [{**row, "path": paths.get(row["source"], row["source"])} for row in rows]

    def verdicts(self) -> dict[str, str]:
        """`used`, or the reason, of each path; of two rows only where one remarks on a used picture."""
        rows = [row for row in self.rows() if row["reason"] != "text-not-looked-for"]
        found = {row["path"]: row["reason"] or row["status"] for row in rows}
        assert len(found) == len(rows), "a path has two rows"
        return found

    def samples(self) -> list[dict[str, Any]]:
        """Rows of the samples table."""
        folder = self.corpus / "tables" / "samples"
        return ds.dataset(folder).to_table().to_pylist() if folder.is_dir() else []


# The peak is asked of the process itself: what `wait4` says of it counts the memory of the process that started it.
_START = """
import os, pathlib, re, resource, sys
from voxtile.cli.main import main
try:
    status = main()
finally:
    own = re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text()).group(1)
    peak = max(int(own), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    pathlib.Path(os.environ["PEAK_FILE"]).write_text(str(peak))
sys.exit(status)
"""


def run_command(corpus: Path, *argv: str | Path, **environment: str) -> Run:
    """Run `voxtile` with these arguments in a process of its own."""
    peak = corpus.with_name(f"{corpus.name}.peak")
    command = [sys.executable, "-P", "-c", _START, *map(str, argv)]
    settings = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "PEAK_FILE": str(peak), **environment}
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=settings,
        text=True,
        cwd=corpus.parent,
        check=False,
    )
    return Run(done.returncode, done.stdout, int(peak.read_text()) * 1024, corpus)


@pytest.fixture(scope="session")
def command():
    """`command(corpus, "convert", "dicom", source, corpus, …)`."""
    return run_command


@pytest.fixture(scope="session")
def base_bytes() -> int:
    """Memory of a process that has read no outside file yet; measured 180 to 330 MB."""
    return BASE_BYTES


@pytest.fixture(scope="session")
def dicom_files() -> ModuleType:
    """Makers of hostile DICOM files."""
    return _maker("dicom_files")


@pytest.fixture(scope="session")
def nifti_files() -> ModuleType:
    """Makers of hostile NIfTI files."""
    return _maker("nifti_files")


@pytest.fixture(scope="session")
def table_files() -> ModuleType:
    """Makers of hostile Parquet files and tables."""
    return _maker("table_files")


@pytest.fixture(scope="session")
def raster_files() -> ModuleType:
    """Makers of hostile TIFF files."""
    return _maker("raster_files")
