"""Words of drafts beside the words of the cases' own reports: BLEU by sacrebleu, ROUGE-L by rouge-score, CIDEr.

CIDEr is computed here: the package that papers take it from, pycocoevalcap, is 100 MB, has had no release since 2020,
and needs Java for its words.

Neither says whether a report is true: "no effusion" and "an effusion" share their words. They are given because papers
give them, beside the trivial report, which often beats a model by them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.metrics import Floats

_ORDERS = 4
MOST_CIDER = 10.0
"""CIDEr of a draft that is its reference, where that has four words and none of its n-grams is in all reports."""
_LENGTH_SPREAD = 6.0  # σ of CIDEr-D, in words
_WORD = re.compile(r"\w+(?:[.,/'-]\w+)*")


def bleu(drafts: Sequence[str], references: Sequence[Sequence[str]], drawn: SubjectBootstrap) -> Floats:
    """[1 + R] corpus BLEU-4 of all reports, from 0 to 1, and its replicates.

    Args:
        drafts: one a case.
        references: of each case at least one.
        drawn: draws of the cases' subjects.
    """
    from sacrebleu.metrics.bleu import BLEU

    metric = BLEU(effective_order=True)  # of single sentences; the sums below are scored without it
    statistics = np.array(
        [_statistics(metric, draft, own) for draft, own in zip(drafts, references, strict=True)], float
    )  # [N, 2 + 2 · 4]: lengths of the draft and of its nearest reference, matches and totals by order
    parts = [_bleu(metric, statistics.sum(axis=0))]
    for weights in drawn.weights():
        parts += [_bleu(metric, row) for row in weights.T @ statistics]
    return np.array(parts)


def _statistics(metric: object, draft: str, references: Sequence[str]) -> list[float]:
    score = metric.sentence_score(draft, list(references))  # type: ignore[attr-defined]
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]


def _bleu(metric: object, sums: Floats) -> float:
    counts, totals = sums[2 : 2 + _ORDERS], sums[2 + _ORDERS :]
    score = metric.compute_bleu(  # type: ignore[attr-defined]
        correct=counts.tolist(), total=totals.tolist(), sys_len=int(sums[0]), ref_len=int(sums[1]),
        smooth_method="exp", effective_order=False, max_ngram_order=_ORDERS,
    )  # fmt: skip
    return float(score.score) / 100


def rouge_l(drafts: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """[N] F of the longest common subsequence of each draft and the best of its references, from 0 to 1.

    Args:
        drafts: one a case.
        references: of each case at least one.
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"])
    return np.array(
        [
            max(scorer.score(own, draft)["rougeL"].fmeasure for own in references[place])
            for place, draft in enumerate(drafts)
        ]
    )


def words_of(text: str) -> list[str]:
    """Words in small letters without punctuation, much as the tokenizer of the COCO evaluation gives them.

    Args:
        text: a report.
    """
    return _WORD.findall(text.casefold())


def cider(drafts: Sequence[str], references: Sequence[Sequence[str]]) -> Floats:
    """[N] CIDEr of each draft, from 0 to 10: CIDEr-D as the COCO evaluation computes what is called CIDEr in papers.

    The mean over n = 1 to 4 of the cosine of n-gram counts by reference, weighed by how rare an n-gram is among the
    cases' references; counts are clipped to those of the reference, and another length costs exp(−Δ² / 2σ²) (Vedantam
    et al., CVPR 2015, eqs. 1 to 4). The cases' own references say what is rare, so that scores of different sets of
    cases cannot be compared.

    Args:
        drafts: one a case.
        references: of each case at least one.
    """
    told = [_ngrams(words_of(draft)) for draft in drafts]
    own = [[_ngrams(words_of(text)) for text in texts] for texts in references]
    cases = Counter(ngram for texts in own for ngram in set().union(*texts))
    rarity = {ngram: float(np.log(len(own)) - np.log(count)) for ngram, count in cases.items()}
    alone = float(np.log(len(own)))  # of an n-gram that no reference has
    scores = [
        np.mean([_alike(draft, text, rarity, alone) for text in texts]) for draft, texts in zip(told, own, strict=True)
    ]
    return MOST_CIDER * np.array(scores, float)


Ngrams: TypeAlias = Counter[tuple[str, ...]]


def _ngrams(words: Sequence[str]) -> Ngrams:
    return Counter(
        tuple(words[start : start + order])
        for order in range(1, _ORDERS + 1)
        for start in range(len(words) - order + 1)
    )


def _alike(draft: Ngrams, reference: Ngrams, rarity: Mapping[tuple[str, ...], float], alone: float) -> float:
    """Of two texts, from 0 to 1."""
    dots, squares, others = np.zeros(_ORDERS), np.zeros(_ORDERS), np.zeros(_ORDERS)
    for ngram, count in draft.items():
        weight, place = rarity.get(ngram, alone) ** 2, len(ngram) - 1
        squares[place] += weight * count**2
        dots[place] += weight * min(count, reference[ngram]) * reference[ngram]
    for ngram, count in reference.items():
        others[len(ngram) - 1] += rarity[ngram] ** 2 * count**2
    lengths = np.sqrt(squares) * np.sqrt(others)
    cosines = np.divide(dots, lengths, out=np.zeros(_ORDERS), where=lengths > 0)
    return float(cosines.mean() * np.exp(-((_pairs(draft) - _pairs(reference)) ** 2) / (2 * _LENGTH_SPREAD**2)))


def _pairs(ngrams: Ngrams) -> int:
    """How many neighbouring words: what the published code compares for the length."""
    return sum(count for ngram, count in ngrams.items() if len(ngram) == 2)
