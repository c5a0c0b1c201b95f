"""`voxtile score CORPUS --from clip`: the cosine of each caption with its picture, by any image-text model.

The pictures' vectors are those that `voxtile embed` stored; only texts are embedded here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError
from voxtile_datasets.curation.scores.task import ScoreTask
from voxtile_datasets.curation.vectors import embedding_model, vectors_by_uid

if TYPE_CHECKING:
    from voxtile.stages.embed.clip_model import DualExtractor


@dataclass(frozen=True)
class ClipScorer:
    """Embeds captions and compares them with the stored vectors of their samples.

    Attributes:
        model: name as the embeddings table has it.
        texts: encodes texts.
        vectors: of samples, normalised, by uid.
        batch_size: texts a batch.
    """

    model: str
    texts: DualExtractor = field(compare=False, repr=False)
    vectors: Mapping[str, npt.NDArray[np.float16]] = field(compare=False, repr=False)
    batch_size: int = 64
    name: str = "clip"
    version: str = "1"
    table: Literal["samples", "captions"] = "captions"
    rows_an_item: int = 4096

    @property
    def producer(self) -> str:
        """What the scores table calls it."""
        return f"clip@{self.version}/{self.model}"

    def config(self) -> Mapping[str, Any]:
        """The producer names the model."""
        return {}

    def columns(self) -> Sequence[str]:
        """Columns that it needs."""
        return ("uid", "text")

    def score(self, root: Path, rows: Sequence[Row]) -> Sequence[Mapping[str, float]]:
        """Cosines; none for captions of samples without a vector."""
        scores: list[dict[str, float]] = [{} for _ in rows]
        wanted = [place for place, row in enumerate(rows) if row["uid"] in self.vectors]
        for start in range(0, len(wanted), self.batch_size):
            places = wanted[start : start + self.batch_size]
            texts = self.texts.encode_texts([rows[place]["text"] for place in places]).numpy()
            texts = texts / np.linalg.norm(texts, axis=1, keepdims=True).clip(1e-12)
            images = np.stack([self.vectors[rows[place]["uid"]] for place in places]).astype(np.float32)
            for place, cosine in zip(places, (texts * images).sum(axis=1).tolist(), strict=True):
                scores[place]["clip"] = cosine
        return scores


def score_clip(
    corpus: Path,
    *,
    model: str,
    batch_size: int = 64,
    retry: bool = False,
    dry_run: bool = False,
    trust_package: tuple[str, ...] = (),
) -> None:
    """Score captions by the cosine of their vector with that of their picture.

    The corpus must hold the pictures' vectors by the same model: voxtile embed CORPUS MODEL. Use the score in
    --where-captions of voxtile curate, such as "clip > 0.2".

    Args:
        corpus: the corpus to add to.
        model: a checkpoint, or open_clip:NAME[/PRETRAINED].
        batch_size: texts a batch.
        retry: also try again what failed.
        dry_run: print the plan and write nothing.
        trust_package: package of your own whose classes a checkpoint may name; repeat it for further ones.

    Raises:
        ConfigError: no such model, one without texts, or the corpus has no vectors of it.
    """
    if batch_size < 1:
        raise ConfigError(f"--batch-size must be at least 1, not {batch_size}")
    store = Corpus(corpus)
    if not store.parts("embeddings"):
        raise ConfigError(
            f"--from clip needs the vectors of the pictures, and '{corpus}' has none; "
            f"run voxtile embed {corpus} {model}"
        )
    from voxtile.stages.embed.clip_model import DualExtractor
    from voxtile.stages.embed.extractor import load_extractor

    extractor = load_extractor(model, trust_package)
    if not isinstance(extractor, DualExtractor):
        raise ConfigError(f"'{model}' embeds pictures only; a CLIP score needs a checkpoint or an open_clip model")
    name, _ = embedding_model(store, extractor.name, "--from clip")
    scorer = ClipScorer(name, extractor, vectors_by_uid(store, name), batch_size)
    options = RunOptions(engine="inline", job_items=1, retry=retry, dry_run=dry_run)
    run_task(ScoreTask(str(corpus), scorer), corpus, options).raise_if_failed()
