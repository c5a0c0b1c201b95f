"""Licences that forbid training: a run that would train on such samples is refused before it starts."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import closing
from itertools import chain

import numpy as np

from voxtile.data.seen_samples import uid_mark
from voxtile.data.source import DataSource
from voxtile.errors import ConfigError

# Kept beside `known.yaml` of the data sets' licences, which the core does not import; a test holds them together.
NO_TRAINING = re.compile(
    r"\bno (model |AI |machine[- ]learning )?training\b"
    r"|\bnot (to )?(be )?used? (for|to) (the )?(model |AI |machine[- ]learning )?train(ing)?\b"
    r"|\bnot for (model |AI |machine[- ]learning )?training\b"
    r"|\b(evaluation|benchmarking|testing) (use )?only\b|\bonly for (evaluation|benchmarking|testing)\b",
    re.IGNORECASE,
)


def refuse_forbidden(sources: Iterable[DataSource]) -> None:
    """Refuse to train on samples whose licence forbids it; that they are evaluated on is no matter.

    Args:
        sources: what is trained on, each its split `train`.

    Raises:
        ConfigError: names a licence, how many samples of the training split are under one that forbids it, and how to
            leave them out.
    """
    for source in sources:
        with closing(source.corpus.connection()) as connection:
            stated = connection.execute("SELECT DISTINCT licence FROM samples WHERE licence IS NOT NULL").fetchall()
            forbidding = [text for (text,) in stated if NO_TRAINING.search(text)]
            if not forbidding or not source.size("train"):
                continue
            wanted = "SELECT uid FROM samples WHERE list_contains(?, licence)"
            uids = connection.execute(wanted, [forbidding]).fetchall()
        marks = np.fromiter((uid_mark(uid) for uid in chain.from_iterable(uids)), np.int64)
        split = source.splits["train"]
        trained = sum(int(np.isin(part, marks).sum()) for part in source.compiled.uid_marks(split))
        if trained:
            raise ConfigError(
                f"{trained} samples of the split '{split}' are under the licence '{forbidding[0]}', which forbids "
                "training; leave them out with data.where (licence <> '…') or a view of voxtile curate, or give them "
                "to the test split"
            )
