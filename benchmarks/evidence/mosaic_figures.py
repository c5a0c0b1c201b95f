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
from torch import Tensor

from voxtile.evaluation.pair_scores import PairScores
from voxtile.inference.encoder_model import EncoderModel
from voxtile.inference.similarity.model import SimilarityModel
from voxtile.objectives import Captioning

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
    pixels = max(y1 for _, (_, _, y1, _) in held.boxes[0]) // held.images.shape[2]  # of the picture, a place of the map
    for start in range(0, len(held.images), 32):
        maps = shows.ground(held.images[start : start + 32], phrases)[0].flatten(2).argmax(2).numpy()
        for n, boxes in enumerate(held.boxes[start : start + 32]):
            labels, hits = [label for label, _ in boxes], []
            for label, (y0, x0, y1, x1) in boxes:
                if labels.count(label) == 1:
                    y, x = divmod(int(maps[n, phrases.index(label)]), held.images.shape[3])
                    y, x = y * pixels, x * pixels
                    hits.append(y0 <= y < y1 and x0 <= x < x1)
            if hits:
                values[start + n] = np.mean(hits)
    kept = np.isfinite(values)
    return Judged("mean", np.where(kept, values, 0), np.where(kept, 0, -1))


def places(model: EncoderModel, held: Held, scorer: str = "", told: Callable[..., str] | None = None) -> Judged:
    """Share of the captions that a picture fits better than those with two places exchanged; 0.5 by chance.

    As in ARO (Yuksekgonul et al., ICLR 2023), where what is exchanged is objects and attributes. A scorer is one of
    pairs, or `captioning`: the likelihood of the words by the decoder (Tschannen et al., NeurIPS 2023). A caption has a
    sentence for each place, unless `told` says it otherwise of the four labels.
    """
    texts, owners = [], []
    for number, boxes in enumerate(held.boxes):
        labels = [label for label, _ in boxes]
        swaps = [(a, b) for a in range(4) for b in range(a) if labels[a] != labels[b]]
        for pair in [None, *swaps] if swaps else []:
            order = list(range(4))
            if pair:
                order[pair[0]], order[pair[1]] = pair[1], pair[0]
            texts.append((told or _told)([labels[i] for i in order]))
            owners.append(number)
    owner = torch.tensor(owners)
    scores = _pair_scores(model, held, texts, owner, scorer)
    values = np.zeros(len(held.images))
    for number in set(owners):
        true, *false = scores[owner == number].tolist()
        values[number] = np.mean([(true > other) + 0.5 * (true == other) for other in false])
    lone = ~np.isin(np.arange(len(values)), owners)
    return Judged("mean", values, -lone.astype(np.int64))


def in_order(model: EncoderModel, held: Held, scorer: str = "") -> Judged:
    """The same of captions in which only the order of the words says what is where."""
    return places(
        model, held, scorer, lambda labels: mosaics.ORDERED.format(*(corpora.SCENES[label][0] for label in labels))
    )


def _told(labels: Sequence[str]) -> str:
    """A caption of the four places, in one frame."""
    named = zip(labels, mosaics.PLACES.values(), strict=True)
    return " ".join(f"{corpora.SCENES[label][0]} at the {place}." for label, place in named)


def _pair_scores(model: EncoderModel, held: Held, texts: Sequence[str], owner: Tensor, scorer: str) -> Tensor:
    """[T] how well each text fits its picture."""
    if not scorer:
        seen = torch.cat([model.encode_images(part) for part in held.images.split(AT_ONCE)])
        return (seen[owner] * model.encode_texts(list(texts))).sum(1)
    if scorer == "captioning":
        return _likelihoods(model, held, texts, owner)
    pairs = PairScores(model, [scorer])
    images = [pairs.of_images(part)[0] for part in held.images.split(AT_ONCE)]
    local = type(images[0])(torch.cat([i.tokens for i in images]), torch.cat([i.real for i in images]))
    return pairs.logits(0, local, owner, pairs.of_texts(texts)[0], torch.arange(len(texts)))[1]


@torch.no_grad()
def _likelihoods(model: EncoderModel, held: Held, texts: Sequence[str], owner: Tensor) -> Tensor:
    """[T] log-likelihood of each text by the decoder of `Captioning`, given its picture."""
    term = next(term for term in model.objectives if isinstance(term, Captioning))
    assert term.pool is not None
    assert term.decoder is not None
    tokens, _ = model.encoder.text.tokenizer.encode(texts)
    found = []
    for said, own in zip(tokens.split(AT_ONCE), owner.split(AT_ONCE), strict=True):
        image = model.encoder.encode_samples(held.images[own], tokens=True)[1]
        assert image.tokens is not None
        states = term.decoder(said[:, :-1], term.pool(image.tokens, None))
        found.append(-term.decoder.cross_entropy(states, said[:, 1:]))
    return torch.cat(found)


MOSAIC_FIGURES: Mapping[str, tuple[str, Callable[..., Judged]]] = {
    "ranked": ("mean AUROC of concepts by prompts", ranked),
    "facts": ("mean AUROC of concepts by the head, without by prompts", by_facts),
    "retrieval": ("mean reciprocal rank, caption to picture", retrieval),
    "denials": ("accuracy of “X” against “no X”", denials),
    "places": ("share of captions told from those with two places exchanged", places),
    "in-order": ("share of captions told from those with two words exchanged", in_order),
    "pointing": ("share of classes found in their place", pointing),
}
