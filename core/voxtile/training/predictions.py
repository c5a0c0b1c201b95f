"""`lightning predict`: the embeddings of a split as a Parquet table in the run's folder."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from voxtile.corpus.drafts import draft
from voxtile.errors import ConfigError, cause_of
from voxtile.types import Batch

FILE = "embeddings.parquet"


class Predictions(pl.Callback):
    """Writes what `predict_step` returns, batch after batch, and prints where.

    A row is an item: its `uid`, its `image` embedding, its `texts` and their `text` embeddings, all of length 1. Of
    several processes each writes a file of its own, `embeddings-RANK.parquet`, with its part of each batch.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._path = self._temporary = Path()
        self._draft = ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the file; it has its name once it is whole.

        Raises:
            ConfigError: the folder cannot be written.
        """
        folder = Path(trainer.log_dir or trainer.default_root_dir)
        name = FILE if trainer.world_size == 1 else f"{Path(FILE).stem}-{trainer.global_rank}.parquet"
        self._rows, self._path = 0, folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._temporary = self._draft.enter_context(draft(self._path))
        except OSError as error:
            raise ConfigError(f"cannot write to '{folder}' ({cause_of(error)}); run in another folder") from error

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,  # noqa: ANN401 - Lightning's type
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the rows of a batch."""
        owners = batch.text_item.cpu()
        texts = [torch.nonzero(owners == item).flatten().tolist() for item in range(len(batch))]
        width = outputs["image"].shape[1]
        vector = pa.list_(pa.float32(), width)
        table = pa.table(
            {
                "uid": pa.array(outputs["uids"], pa.string()),
                "image": _vectors(outputs["image"], width),
                "texts": pa.array([[batch.texts[t] for t in own] for own in texts], pa.list_(pa.string())),
                "text": pa.array([outputs["text"][own].float().tolist() for own in texts], pa.list_(vector)),
            }
        )
        if batch.is_filler:
            table = table.slice(0, 0)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, table.schema)
        self._writer.write_table(table)
        self._rows += table.num_rows

    def on_predict_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give the file its name and say it.

        Raises:
            ConfigError: no item was embedded.
        """
        if self._writer is None:
            self._draft.close()
            raise ConfigError("no item was embedded; set trainer.limit_predict_batches to more than 0")
        self._close()
        self._temporary.replace(self._path)
        self._draft.close()
        sys.stdout.write(f"wrote {self._path}: embeddings of {self._rows:,} items\n")

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Leave nothing half done."""
        self._close()
        self._draft.close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _vectors(values: Tensor, width: int) -> pa.FixedSizeListArray:
    """[N, D] as N rows."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.float().flatten().numpy()), width)
