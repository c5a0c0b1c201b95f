"""Verdicts on texts that are in no corpus: what evaluation asks of the checker."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from voxtile.corpus.reader import Corpus
from voxtile.errors import ConfigError
from voxtile_datasets.captions.checker.check import VERSION, check
from voxtile_datasets.captions.checker.task import CheckTask


def judge_texts(corpus: Corpus, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The verdict of the rules on each text about a sample: supported, unknown, unsupported or contradicted.

    Args:
        corpus: of one folder, with facts.
        pairs: (uid, text).

    Raises:
        ConfigError: the corpus is a union of several.
    """
    if len(corpus.roots) != 1:
        raise ConfigError("captions are judged by the facts of one corpus; evaluate each of several by itself")
    task = CheckTask(corpus.roots[0], None, (), True, VERSION)
    known = task.known(pa.array(sorted({uid for uid, _ in pairs}), pa.string()))
    return [check(text, known[uid][0], known[uid][1]).verdict for uid, text in pairs]
