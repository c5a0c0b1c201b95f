"""`voxtile score CORPUS --from image`: sharpness, contrast and the like of each picture, and its perceptual hash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import laplace

from voxtile.corpus.reader import Corpus
from voxtile.corpus.records import Row
from voxtile.corpus.schema import SAMPLES
from voxtile.engine.run import RunOptions, run_task
from voxtile.stages.inspect.leakage.pixels import LEAST_CONTRAST, perceptual_hashes, sample_picture, small_grey
from voxtile_datasets.curation.pictures import HIGH, LOW
from voxtile_datasets.curation.scores.task import ScoreTask


@dataclass(frozen=True)
class ImageScorer:
    """Measures the 8-bit picture of each sample: itself, its preview, or its stretched mean."""

    name: str = "image"
    version: str = "1"
    table: Literal["samples", "captions"] = "samples"
    rows_an_item: int = 500

    @property
    def producer(self) -> str:
        """What the scores table calls it."""
        return f"image@{self.version}"

    def config(self) -> Mapping[str, Any]:
        """There is nothing to set."""
        return {}

    def columns(self) -> Sequence[str]:
        """All: they say how to read the pixels."""
        return [str(name) for name in SAMPLES.names]

    def score(self, root: Path, rows: Sequence[Row]) -> Sequence[Mapping[str, float]]:
        """Scores of samples; none where there is no picture."""
        corpus = Corpus(root)
        pictures = [sample_picture(corpus, row) for row in rows]
        return [image_scores(picture) if picture is not None else {} for picture in pictures]


def image_scores(picture: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Scores of one picture [Y, X] or [Y, X, 3].

    Returns:
        `sharpness`, standard deviation of the Laplacian in grey levels (Pech-Pacheco et al. 2000 use its square);
        `contrast`, that of the grey levels; `entropy` of their histogram in bits; `clipped`, the share of pixels at 0
        or 255; and, unless the picture is featureless, the perceptual hash in two numbers.
    """
    grey = np.asarray(Image.fromarray(picture).convert("L"), np.float32)
    counts = np.bincount(grey.astype(np.int64).ravel(), minlength=256) / grey.size
    filled = counts[counts > 0]
    scores = {
        "sharpness": float(laplace(grey).std()),
        "contrast": float(grey.std()),
        "entropy": float(-(filled * np.log2(filled)).sum()),
        "clipped": float(counts[0] + counts[255]),
    }
    small = small_grey(picture)
    if small.std() >= LEAST_CONTRAST:
        bits = perceptual_hashes(small.reshape(1, -1))[0] > 0
        scores[HIGH] = float(sum(1 << place for place, bit in enumerate(bits[:31]) if bit))
        scores[LOW] = float(sum(1 << place for place, bit in enumerate(bits[31:]) if bit))
    return scores


def score_images(corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Score pictures: sharpness, contrast, entropy, share of clipped pixels, and the perceptual hash.

    Use the scores in --where, --weight and --prefer of voxtile curate; --dedup picture compares the hashes.

    Args:
        corpus: the corpus to add to.
        run: options of the run.
    """
    Corpus(corpus)  # a folder that is no corpus is refused before anything is made in it
    run_task(ScoreTask(str(corpus), ImageScorer()), corpus, RunOptions(**run)).raise_if_failed()
