"""Embeddings of a corpus, as `voxtile embed` writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_paths, part_table
from voxtile.errors import InputError

EMBEDDINGS = "embeddings"


@dataclass(frozen=True)
class Features:
    """Embeddings of samples by one model.

    Attributes:
        model: its name.
        matrix: [N, D] float16, a row a sample.
        rows: uid → row of the matrix.
    """

    model: str
    matrix: npt.NDArray[np.float16]
    rows: dict[str, int]

    def of(self, uids: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeddings [len(uids), D] of some samples, in their order, as the tools' own float32.

        Raises:
            InputError: a sample has none.
        """
        lacking = [uid for uid in uids if uid not in self.rows]
        if lacking:
            raise InputError(
                f"{len(lacking)} of {len(uids)} patches have no embedding by '{self.model}', such as {lacking[0]}; "
                "run 'voxtile embed' again"
            )
        return self.matrix[[self.rows[uid] for uid in uids]].astype(np.float32)


def read_features(corpus: Path, model: str, uids: Sequence[str] | None = None) -> Features:
    """Read the embeddings of a corpus by one model.

    Args:
        corpus: the corpus.
        model: its name, as 'voxtile embed' prints it.
        uids: only of these samples.

    Raises:
        InputError: there are none; the sentence lists the models that there are.
    """
    parts = part_paths(corpus, EMBEDDINGS)
    wanted = pa.array(sorted(set(uids)), pa.string()) if uids is not None else None
    found: list[pa.Table] = []
    models: set[str] = set()
    for part in parts:
        table = part_table(part, ["uid", "model", "vector"])
        models |= set(table["model"].unique().to_pylist())
        table = table.filter(pc.equal(table["model"], model))
        found.append(table if wanted is None else table.filter(pc.is_in(table["uid"], wanted)))
    if model not in models:
        listed = f"there are those of: {', '.join(sorted(models))}" if models else "there are none"
        raise InputError(
            f"'{corpus}' has no embeddings by '{model}'; {listed}; make them with: voxtile embed CORPUS MODEL"
        )
    table = pa.concat_tables(found).combine_chunks()
    vectors = table["vector"].combine_chunks() if table.num_rows else None
    matrix = (
        np.asarray(vectors.flatten(), np.float16).reshape(table.num_rows, -1)
        if vectors is not None
        else np.empty((0, 0), np.float16)
    )
    return Features(model, matrix, {uid: row for row, uid in enumerate(table["uid"].to_pylist())})
