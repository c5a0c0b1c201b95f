"""The plan of a fault: a small file that the processes of a trial share with `faults.c`, which carries it out."""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from pathlib import Path

SOURCE = Path(__file__).with_name("faults.c")
VARIABLE = "VOXTILE_CHAOS"
FOREVER = 2**64 - 1
ROOTS, LENGTH = 4, 512  # of faults.c


class Kind(IntFlag):
    """Calls of the system, as faults.c counts them."""

    WRITE = 1
    SYNC = 2
    NAME = 4
    CREATE = 8
    RESIZE = 16
    REMOVE = 32
    FOLDER = 64
    MAP = 128
    READ = 256
    CLOSE = 512


ANY_CHANGE = Kind(1023) & ~Kind.READ & ~Kind.CLOSE


class Fault(IntEnum):
    """What becomes of a call."""

    NOTHING = 0
    FAIL = 1
    FULL = 2
    TORN = 3
    KILL = 4
    STOP = 5
    SHORT = 6
    JUMP = 7


class Victim(IntEnum):
    """Who gets a signal."""

    CALLER = 0
    COMMAND = 1
    GROUP = 2


class Plan(ctypes.Structure):
    """`struct plan` of faults.c."""

    _fields_ = (
        ("fault", ctypes.c_uint32),
        ("kinds", ctypes.c_uint32),
        ("at", ctypes.c_uint64),
        ("until", ctypes.c_uint64),
        ("error", ctypes.c_int32),
        ("victim", ctypes.c_int32),
        ("seconds", ctypes.c_int64),
        ("command", ctypes.c_int32),
        ("power", ctypes.c_int32),
        ("roots", ctypes.c_char * LENGTH * ROOTS),
        ("calls", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("fired", ctypes.c_uint64),
        ("every", ctypes.c_uint64),
        ("offset", ctypes.c_int64),
        ("stopped", ctypes.c_int32),
        ("pad2", ctypes.c_int32),
        ("of_kind", ctypes.c_uint64 * 10),
    )

    def count(self, kinds: Kind) -> int:
        """Calls of these kinds so far."""
        return sum(int(self.of_kind[bit]) for bit in range(10) if kinds & (1 << bit))


def write_plan(path: Path, roots: Sequence[Path], **fields: int) -> Plan:
    """Make the file of a plan; what is returned is the file's content as it is now.

    Args:
        path: of the file.
        roots: beginnings of the paths that count: a corpus, and what lies beside it under a longer name.
        fields: those of the plan.
    """
    Path(f"{path}.diary").unlink(missing_ok=True)
    path.unlink(missing_ok=True)  # who holds an earlier one keeps it
    path.write_bytes(bytes(ctypes.sizeof(Plan)))
    with path.open("r+b") as file:
        plan = Plan.from_buffer(mmap.mmap(file.fileno(), ctypes.sizeof(Plan)))
    for place, root in enumerate(roots):
        plan.roots[place].value = os.fsencode(root)
    for name, value in fields.items():
        setattr(plan, name, value)
    return plan


def cut_power(plan: Path, roots: Sequence[Path]) -> list[Path]:
    """Have the files of a trial lose what was never put on the disk: half of each is gone, the end of it.

    Names stay: a file system that orders names after data, or not, is no question of the product's.

    Args:
        plan: its file; the diary lies beside it.
        roots: as for `write_plan`.

    Returns:
        The files that were cut.
    """
    diary = Path(f"{plan}.diary")
    dirty: set[int] = set()
    for line in diary.read_text().splitlines() if diary.exists() else ():
        (dirty.add if line[0] == "W" else dirty.discard)(int(line[2:]))
    beside = {entry for root in roots for entry in root.parent.glob(f"{root.name}*")}
    files = {path for top in beside for path in (top, *top.rglob("*")) if path.is_file()}
    lost = sorted(path for path in files if path.stat().st_ino in dirty)
    for path in lost:
        os.truncate(path, path.stat().st_size // 2)
    return lost


def build_library(folder: Path) -> Path:
    """Compile faults.c.

    Raises:
        RuntimeError: there is no C compiler, or it refuses.
    """
    library = folder / "faults.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError(f"faults.c needs a C compiler: {getattr(error, 'stderr', '') or error}") from error
    return library
