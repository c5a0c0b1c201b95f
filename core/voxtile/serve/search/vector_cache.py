"""The vectors that `voxtile embed` wrote, laid out for searching in a file beside the user's other caches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.corpus.storage import set_room_aside
from voxtile.serve.laid_out import laid_out, parts_key
from voxtile.serve.sample_index import SampleIndex
from voxtile.serve.search.vectors import VectorFile

_LAYOUT = "2"


def vector_file(corpora: Sequence[Corpus], index: SampleIndex, model: str) -> VectorFile | None:
    """Vectors of a model for the samples of an index; None where there is none.

    They are copied once into the cache folder, and again when a part is added.

    Args:
        corpora: those whose tables `embeddings` hold them, the one with the samples last; of several vectors of a
            sample the last counts.
        index: the samples.
        model: as `voxtile embed` named it.
    """
    parts = [
        part for corpus in corpora for root in range(len(corpus.roots)) for part in corpus.parts("embeddings", root)
    ]
    width = _width(parts, model)
    if not width:
        return None
    uids = hashlib.sha256(f"{len(index)}\n".encode())
    for buffer in index.uids.buffers()[1:]:
        uids.update(memoryview(buffer))
    key = parts_key(parts, _LAYOUT, model, uids.hexdigest())
    name = f"vectors_{hashlib.sha256(model.encode()).hexdigest()[:8]}"
    folder = laid_out(corpora[-1].roots, name, key, lambda fresh: _write(parts, index, model, width, fresh))
    return VectorFile(folder / "vectors.f16", np.load(folder / "present.npy", allow_pickle=False), width)


def _width(parts: Sequence[Path], model: str) -> int:
    for part in parts:
        table = part_table(part, ["model", "vector"]).filter(pc.field("model") == model)
        if table.num_rows:
            return len(table["vector"][0])
    return 0


def _write(parts: Sequence[Path], index: SampleIndex, model: str, width: int, folder: Path) -> None:
    present = np.zeros(len(index), np.bool_)
    with (folder / "vectors.f16").open("wb") as file:
        file.truncate(len(index) * width * 2)
    set_room_aside(folder / "vectors.f16")
    matrix = np.memmap(folder / "vectors.f16", np.float16, "r+", shape=(len(index), width))
    for part in parts:
        table = part_table(part, ["uid", "model", "vector"]).filter(pc.field("model") == model)
        numbers = index.numbers(table["uid"])
        kept = numbers >= 0
        vectors = _unit(table["vector"], width)
        matrix[numbers[kept]] = vectors[kept]
        present[numbers[kept]] = True
    matrix.flush()
    np.save(folder / "present.npy", present)


def _unit(column: pa.ChunkedArray, width: int) -> npt.NDArray[np.float16]:
    """[rows, width] of length 1."""
    flat = column.combine_chunks()
    flat = flat.flatten() if isinstance(flat, pa.ListArray) else pa.concat_arrays([c.flatten() for c in column.chunks])
    values = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(-1, width)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return unit.astype(np.float16)
