"""Commands in the process of the tests: for what a process of its own does not change."""

import contextlib
import io
from dataclasses import dataclass

from voxtile.cli.main import main
from voxtile.corpus.remote.payloads import see_anew


@dataclass(frozen=True)
class Ran:
    """A command that has ended, as `subprocess.run` tells of one."""

    returncode: int
    stdout: str
    stderr: str


def run_here(*words: object) -> Ran:
    """Run `voxtile` with these words; of remote corpora nothing is remembered from before."""
    see_anew()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return Ran(status, out.getvalue(), err.getvalue())
