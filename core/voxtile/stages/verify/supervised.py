"""Verifying in a process of its own with limits: a prepared table must not take all memory of the machine."""

from __future__ import annotations

from pathlib import Path

from voxtile.corpus.parts import part_paths
from voxtile.corpus.schema import TABLES
from voxtile.engine.pool import Died, Raised, Returned, WorkerPool
from voxtile.engine.worker import Report
from voxtile.engine.worker_process import Call, Limits
from voxtile.errors import CorpusError
from voxtile.stages.verify.verification import Verification

_GIB = 2**30


def table_files(root: Path) -> list[Path]:
    """The parts of all tables and of the ledger, in the order in which they are read."""
    return [path for name in (*TABLES, "ledger") for path in part_paths(root, name)]


def verify_supervised(root: Path, memory_limit_gb: float, time_limit_s: float) -> Verification:
    """Verify a corpus in a worker process.

    A part of a table that outgrows the memory, hangs or kills the process is a problem, and the rest is read again in a
    new process.

    Args:
        root: folder of the corpus.
        memory_limit_gb: memory that the process may take, in GiB.
        time_limit_s: time that reading one part of a table may take, in seconds.

    Raises:
        CorpusError: the folder is not a corpus, or the rest of it outgrows the memory.
    """
    files = table_files(root)
    limits = Limits(time_limit_s, int(memory_limit_gb * _GIB))
    refused: dict[str, str] = {}
    with WorkerPool(1, str(root), limits) as pool:
        pool.submit(Call(None, _verify, (refused,)))
        for event in pool.events():
            if isinstance(event, Returned):
                found: Verification = event.value
                return found
            if isinstance(event, Raised):
                if event.error.is_expected:
                    raise CorpusError(event.error.sentence)
                raise RuntimeError(f"{event.error.error_class}: {event.error.sentence}\n{event.error.traceback}")
            if isinstance(event, Died):
                _refuse(root, event, files, refused, memory_limit_gb)
                pool.submit(Call(None, _verify, (refused,)))
    raise CorpusError(f"verifying '{root}' ended without an answer; run it again")


def _refuse(root: Path, event: Died, files: list[Path], refused: dict[str, str], memory_gb: float) -> None:
    """Leave out the part that the process was lost with."""
    part = files[event.mark].relative_to(root).as_posix() if event.mark is not None else None
    if part is None or part in refused:
        raise CorpusError(
            f"verifying '{root}' was ended by its limits ({event.detail}, of {memory_gb:g} GiB); "
            "give it more with --memory-limit-gb"
        )
    option = "--time-limit-s" if event.cause == "time-limit" else "--memory-limit-gb"
    refused[part] = (
        f"reading it goes beyond the limits ({event.detail}); restore it or run its stage again, or, where it is as it "
        f"should be, give more with {option}"
    )


def _verify(root: str, refused: dict[str, str], report: Report) -> Verification:
    from voxtile.stages.verify.corpus import verify  # late: in the process that checks, and not in the one that waits

    return verify(Path(root), refused=refused, report=report)
