"""What the page shows of caption factuality: one table, a line a verdict and kind of caption."""

from __future__ import annotations

from voxtile.evaluation.figures.rows import ScoreKind
from voxtile.evaluation.kinds.factuality.run import NAME, FactualityResult
from voxtile.evaluation.report.lines import Line, LinesSection, strip_of_lines
from voxtile.evaluation.report.section import Source

_ABOUT: dict[ScoreKind, tuple[str, str]] = {
    "model": ("Own facts", "captions judged by the facts of their own sample"),
    "shuffled": ("Another subject's facts", "the same captions judged by other facts; what any caption would get"),
}


def factuality_section(result: FactualityResult) -> LinesSection:
    """Gather what the page shows of caption factuality."""
    found = {(row.metric, row.class_name, row.kind): row for row in result.rows}
    lines = [
        Line(
            row.metric.capitalize() + (f", {row.class_name}" if row.class_name else ""),
            {role: found.get((row.metric, row.class_name, role)) for role in _ABOUT},
        )
        for row in result.rows
        if row.kind == "model"
    ]
    tables = [("Verdicts", lines)]
    return LinesSection(
        result=result,
        sources=[Source(role, NAME, role, *about) for role, about in _ABOUT.items()],
        headline_title="Supported captions",
        tables=tables,
        reading=(
            f"{sum(result.counts.values())} captions were read by the checker of voxtile check. “Supported” means that "
            "every claim follows from the facts or from what a closed scope leaves out; one fault decides a caption's "
            "verdict. A checker finds what its vocabulary knows; words that it does not know make no claim."
        ),
        strip=strip_of_lines(tables),
        difference=next(iter(result.differences), None),
        ranks=False,
    )
