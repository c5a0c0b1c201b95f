"""The trivial baseline of retrieval: which words go with a thumbnail, by ridge regression, no learning of images.

Features as in the other tasks (histogram and block means of each channel) predict the TF-IDF vector of a unit's
captions, less its mean; a text is near an image if its own vector, less the same mean, points the same way. It is
fitted on the training split; the penalty is chosen there by generalised cross-validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from voxtile.evaluation.figures.metrics import Floats
from voxtile.evaluation.inputs.texts import normalised
from voxtile.evaluation.kinds.retrieval.pairs import Pairs

NAME = "thumbnail-to-words"
_WORDS = 1000  # the most frequent ones of the training captions
_PENALTIES = tuple(10.0**power for power in range(7))
_TOKEN = r"(?u)\b\w+\b"  # single letters and digits too: "a", "2"


@dataclass(frozen=True)
class WordScores:
    """Embeddings [N, V] of images and [T, V] of texts among words, and the penalty of the regression."""

    images: Floats
    texts: Floats
    penalty: float


def word_scores(
    train: Pairs,
    train_features: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32],
    texts: Sequence[str],
) -> WordScores | None:
    """Fit on the training units, and place the reported units and texts among words.

    Args:
        train: captions of the training units.
        train_features: [N', P] of the training units.
        features: [N, P] of the reported units.
        texts: the T reported texts.

    Returns:
        None where the training captions hold fewer than two different words, or there are fewer than two units.
    """
    told = ["\n".join(train.texts[t] for t in train.text[train.unit == unit]) for unit in range(len(train.units))]
    words = TfidfVectorizer(max_features=_WORDS, token_pattern=_TOKEN, sublinear_tf=True)
    try:
        targets = words.fit_transform(told).toarray()
    except ValueError:  # scikit-learn's "empty vocabulary"
        return None
    if min(targets.shape) < 2:
        return None
    centre = targets.mean(axis=0)
    scaler = StandardScaler().fit(train_features)
    ridge = RidgeCV(alphas=_PENALTIES).fit(scaler.transform(train_features), targets - centre)
    return WordScores(
        images=normalised(np.asarray(ridge.predict(scaler.transform(features)), dtype=np.float64)),
        texts=normalised(words.transform(texts).toarray() - centre),
        penalty=float(ridge.alpha_),
    )
