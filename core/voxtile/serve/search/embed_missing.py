"""Vectors of samples that have none, in a process of its own that gives way to the server; it tells how far it is.

    python -P -m voxtile.serve.search.embed_missing MODEL NAME TOTAL OUT CORPUS…

They go into folders 0, 1, … under OUT, corpora that hold nothing but vectors: the served ones are not written to.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq

from voxtile.corpus.packing.reading import locate
from voxtile.corpus.parts import part_paths
from voxtile.errors import InputError, VoxtileError
from voxtile.stages.embed.command import embed_corpus

_TOLD_S = 1.0
_CHUNK = 256  # samples that are written at once, and lost where it is ended


def main() -> None:
    """As a process of its own."""
    model, name, total, out, *roots = sys.argv[1:]
    os.nice(10)
    told, ended = sys.stdout, threading.Event()

    def tell() -> None:
        try:
            while not ended.wait(_TOLD_S):
                told.write(f"{count_made(Path(out))} {total}\n")
                told.flush()
        except OSError:  # the server is gone
            os._exit(1)

    threading.Thread(target=tell, daemon=True).start()
    quoted = name.replace("'", "''")
    missing = f"uid NOT IN (SELECT uid FROM embeddings WHERE model = '{quoted}')"
    try:
        with redirect_stdout(StringIO()):  # its summary would stand between the server's own lines
            for number, root in enumerate(roots):
                _embed(Path(root), model, missing, Path(out, str(number)))
    except VoxtileError as error:
        sys.stderr.write(f"vectors: {error}\n")
        sys.exit(1)
    finally:
        ended.set()


def _embed(root: Path, model: str, missing: str, out: Path) -> None:
    try:
        embed_corpus(root, model, where=missing, out=out, chunk=_CHUNK)
    except InputError as error:
        if "no sample" not in str(error):  # another of the corpora lacks them
            raise


def count_made(out: Path) -> int:
    """Number of vectors under a folder of such corpora."""
    folders = [folder for folder in out.iterdir() if (folder / "tables").is_dir()]
    parts = [part for folder in folders for part in part_paths(folder, "embeddings")]
    return sum(pq.read_metadata(locate(part).path).num_rows for part in parts)


if __name__ == "__main__":
    main()
