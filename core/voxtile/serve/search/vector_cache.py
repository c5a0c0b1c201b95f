"""The vectors that `voxtile embed` wrote, laid out for searching in a file beside the user's other caches."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.packing.reading import locate
from voxtile.corpus.parts import part_table
from voxtile.corpus.reader import Corpus
from voxtile.folders import cache_folder
from voxtile.serve.sample_index import SampleIndex
from voxtile.serve.search.vectors import VectorFile

_LAYOUT = "1"


def models_with_vectors(corpus: Corpus) -> dict[str, int]:
    """Number of vectors by model, as `voxtile embed` named it."""
    models = corpus.table("embeddings", columns=["model"])["model"]
    return {str(found["values"]): int(found["counts"]) for found in pc.value_counts(models).to_pylist()}


def vector_file(corpora: Sequence[Corpus], index: SampleIndex, model: str) -> VectorFile | None:
    """Vectors of a model for the samples of an index; None where there is none.

    They are copied once into the cache folder, and again when a part is added.

    Args:
        corpora: those whose tables `embeddings` hold them; of several vectors of a sample the last counts.
        index: the samples.
        model: as `voxtile embed` named it.
    """
    parts = [
        part for corpus in corpora for root in range(len(corpus.roots)) for part in corpus.parts("embeddings", root)
    ]
    width = _width(parts, model)
    if not width:
        return None
    folder = cache_folder("serve") / _key(parts, index, model)
    path, present = folder / "vectors.f16", folder / "present.npy"
    if not present.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        _write(parts, index, model, width, folder)
    return VectorFile(path, np.load(present, allow_pickle=False), width)


def _width(parts: Sequence[Path], model: str) -> int:
    for part in parts:
        table = part_table(part, ["model", "vector"]).filter(pc.field("model") == model)
        if table.num_rows:
            return len(table["vector"][0])
    return 0


def _key(parts: Sequence[Path], index: SampleIndex, model: str) -> str:
    digest = hashlib.sha256(f"{_LAYOUT}\n{model}\n{len(index)}\n".encode())
    for buffer in index.uids.buffers()[1:]:
        digest.update(memoryview(buffer))
    for part in parts:
        status = locate(part).path.stat()
        digest.update(f"{part.resolve()} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:24]


def _write(parts: Sequence[Path], index: SampleIndex, model: str, width: int, folder: Path) -> None:
    present = np.zeros(len(index), np.bool_)
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.truncate(len(index) * width * 2)
        matrix = np.memmap(file.name, np.float16, "r+", shape=(len(index), width))
        for part in parts:
            table = part_table(part, ["uid", "model", "vector"]).filter(pc.field("model") == model)
            numbers = index.numbers(table["uid"])
            kept = numbers >= 0
            vectors = _unit(table["vector"], width)
            matrix[numbers[kept]] = vectors[kept]
            present[numbers[kept]] = True
        matrix.flush()
        os.replace(file.name, folder / "vectors.f16")
    # The mark that the vectors are whole comes last.
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        np.save(file, present)
    os.replace(file.name, folder / "present.npy")


def _unit(column: pa.ChunkedArray, width: int) -> npt.NDArray[np.float16]:
    """[rows, width] of length 1."""
    flat = column.combine_chunks()
    flat = flat.flatten() if isinstance(flat, pa.ListArray) else pa.concat_arrays([c.flatten() for c in column.chunks])
    values = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32).reshape(-1, width)
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(values, lengths, out=np.zeros_like(values), where=lengths > 0)
    return unit.astype(np.float16)
