"""What the page shows of image retrieval: one table, a line a metric."""

from __future__ import annotations

from voxtile.evaluation.figures.rows import ScoreKind
from voxtile.evaluation.kinds.neighbours.run import NeighboursResult, by_kind, metrics_of
from voxtile.evaluation.report.lines import Line, LinesSection, strip_of_lines
from voxtile.evaluation.report.section import Source

_NAMES = {
    "precision": "Precision",
    "map": "Mean average precision",
    "ndcg": "Normalised discounted gain",
    "mrr": "Mean reciprocal rank",
}
_ABOUT: dict[ScoreKind, tuple[str, str]] = {
    "model": ("The model's embeddings", "nearest by cosine similarity; no label and no text was used"),
    "trivial": ("Trivial baseline", "nearest by intensity histogram and block means"),
    "shuffled": ("Shuffled images", "every image stands for one of another subject; this is chance"),
}


def neighbours_section(result: NeighboursResult) -> LinesSection:
    """Gather what the page shows of image retrieval."""
    lines = []
    for metric in metrics_of(result.task):
        name, _, cutoff = metric.partition("@")
        found = by_kind(result, metric)
        lines.append(Line(_NAMES[name] + (f", first {cutoff}" if cutoff else ""), {r: found.get(r) for r in _ABOUT}))
    first = next(i for i, metric in enumerate(metrics_of(result.task)) if metric.startswith("map@"))
    lines.insert(0, lines.pop(first))
    tables = [("What is found", lines)]
    return LinesSection(
        result=result,
        sources=[Source(role, result.models[0], role, *about) for role, about in _ABOUT.items()],
        headline_title=lines[0].title,
        tables=tables,
        reading=(
            f"Labels are those of {result.task.of.name}: an image is right if it shares a positive class with the one "
            "that asks, and gains the share of their positive classes that both have. "
            f"{result.queries} images ask; images of the own subject are left out. The figures depend on how many "
            "images there are to choose from."
        ),
        strip=strip_of_lines(tables),
        difference=next(iter(result.differences), None),
        labelled=True,
    )
