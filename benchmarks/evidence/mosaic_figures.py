"""What a model is asked about mosaics: several findings, their places, long captions, denials.

Shape letters: N pictures, K concepts, T texts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import corpora
import mosaics
import numpy as np
import numpy.typing as npt
import torch
from held import AT_ONCE, Floats, Held, Judged, embedded, prompt_vectors

from voxtile.evaluation.pair_scores import PairScores
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.similarity.model import SimilarityModel

RERANKED = 16  # candidates that a scorer of pairs ranks anew


def ranked(model: EncoderModel, held: Held) -> Judged:
    """Which pictures show each concept, by prompts."""
    scores = embedded(model, held.images) @ prompt_vectors(model, held.names).T
    return Judged("auroc", scores.astype(np.float64), held.truth.astype(np.int64))


def by_facts(model: EncoderModel, held: Held) -> Judged:
    """Which pictures show each concept, by the auxiliary head."""
    logits = torch.cat([model.fact_logits(part) for part in held.images.split(AT_ONCE)]).double().numpy()
    order = [model.fact_names.index(name) for name in held.names]
    return Judged("auroc", logits[:, order], held.truth.astype(np.int64))


def retrieval(model: EncoderModel, held: Held, scorer: str = "") -> Judged:
    """Reciprocal rank of a caption's own picture among all of the split; with a scorer the first ones ranked anew."""
    texts = model.encode_texts(list(held.texts)).numpy()
    scores = (texts @ embedded(model, held.images).T).astype(np.float64)
    if scorer:
        scores = _reranked(model, held, scores, scorer)
    own = np.diag(scores)[:, None]
    same = np.array([[a == b for b in held.texts] for a in held.texts])
    ahead = ((scores > own) & ~same).sum(1) + 0.5 * ((scores == own) & ~same).sum(1)
    return Judged("mean", 1 / (1 + ahead), np.zeros(len(ahead), np.int64))


def _reranked(model: EncoderModel, held: Held, scores: Floats, scorer: str) -> Floats:
    pairs = PairScores(model, [scorer])
    images = [pairs.of_images(part)[0] for part in held.images.split(AT_ONCE)]
    local = type(images[0])(torch.cat([i.tokens for i in images]), torch.cat([i.real for i in images]))
    texts, best = pairs.of_texts(held.texts)[0], np.argsort(-scores, axis=1)[:, :RERANKED]
    image = torch.from_numpy(best.ravel().copy())
    text = torch.arange(len(held.texts)).repeat_interleave(best.shape[1])
    found = pairs.logits(0, local, image, texts, text)[1].view(best.shape).numpy()
    lifted, top = scores.copy(), scores.max() + 1
    np.put_along_axis(lifted, best, top + (found - found.min()) / max(np.ptp(found), 1e-9), axis=1)
    return lifted


def denials(model: EncoderModel, held: Held) -> Judged:
    """Share of the concepts of which the true one of "X" and "no X" is nearer, shown and lacking ones alike."""
    said = [corpora.SCENES[name] for name in held.names]
    here = np.stack([_mean(model, [f"{w}." for w in words]) for words in said])
    bare = [[w.removeprefix("a ").removeprefix("an ") for w in words] for words in said]
    gone = np.stack([_mean(model, [f.format(w) for f in mosaics.ABSENT for w in words]) for words in bare])
    seen = embedded(model, held.images)
    right = ((seen @ here.T > seen @ gone.T) == held.truth).astype(np.float64)
    shown = (right * held.truth).sum(1) / held.truth.sum(1).clip(1)
    lacking = (right * ~held.truth).sum(1) / (~held.truth).sum(1).clip(1)
    return Judged("mean", (shown + lacking) / 2, np.zeros(len(right), np.int64))


def _mean(model: EncoderModel, texts: Sequence[str]) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = model.encode_texts(list(texts)).numpy().mean(0)
    return found / np.linalg.norm(found)


def pointing(model: EncoderModel, held: Held, method: str = "auto") -> Judged:
    """Share of the classes that one photograph of a mosaic alone is of whose map is highest there; 0.25 by chance."""
    phrases = sorted(corpora.SCENES)
    shows = model if method == "grounding" else SimilarityModel(model, method)
    values = np.full(len(held.images), np.nan)
    for start in range(0, len(held.images), 32):
        maps = shows.ground(held.images[start : start + 32], phrases)[0].flatten(2).argmax(2).numpy()
        for n, boxes in enumerate(held.boxes[start : start + 32]):
            labels, hits = [label for label, _ in boxes], []
            for label, (y0, x0, y1, x1) in boxes:
                if labels.count(label) == 1:
                    y, x = divmod(int(maps[n, phrases.index(label)]), held.images.shape[3])
                    hits.append(y0 <= y < y1 and x0 <= x < x1)
            if hits:
                values[start + n] = np.mean(hits)
    kept = np.isfinite(values)
    return Judged("mean", np.where(kept, values, 0), np.where(kept, 0, -1))


MOSAIC_FIGURES: Mapping[str, tuple[str, Callable[..., Judged]]] = {
    "ranked": ("mean AUROC of concepts by prompts", ranked),
    "facts": ("mean AUROC of concepts by the head, without by prompts", by_facts),
    "retrieval": ("mean reciprocal rank, caption to picture", retrieval),
    "denials": ("accuracy of “X” against “no X”", denials),
    "pointing": ("share of classes found in their place", pointing),
}
