"""Words of drafts beside the words of the cases' own reports: BLEU by sacrebleu, ROUGE-L by rouge-score.

Neither says whether a report is true: "no effusion" and "an effusion" share their words. They are given because papers
give them, beside the trivial report, which often beats a model by them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxtile.evaluation.figures.bootstrap import SubjectBootstrap
from voxtile.evaluation.figures.metrics import Floats

_ORDERS = 4


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
