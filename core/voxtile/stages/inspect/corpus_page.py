"""The HTML page of `voxtile inspect`: one file with everything in it, readable on a phone, without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import voxtile
from voxtile.corpus.reader import Corpus
from voxtile.corpus.reference_roots import named_roots, only_references_in
from voxtile.corpus.storage import storage_errors, write_atomically
from voxtile.pages import page_environment
from voxtile.stages.inspect.footprint_map import draw_map
from voxtile.stages.inspect.formatting import bytes_text, shape_text, share_text
from voxtile.stages.inspect.leakage.report import LeakageReport, distance_text
from voxtile.stages.inspect.overviews import make_overviews
from voxtile.stages.inspect.previews import choose_uids, make_previews
from voxtile.stages.inspect.summary import CorpusSummary

_TEMPLATE = "inspect.html.j2"


def write_page(
    path: Path,
    corpus: Corpus,
    summary: CorpusSummary,
    previews: int | Sequence[str],
    *,
    leakage: LeakageReport | None = None,
    scheme: str = "default",
    references: Path | None = None,
) -> None:
    """Write the page.

    Args:
        path: file to write; its folder is made.
        corpus: where the pictures come from.
        summary: the numbers.
        previews: how many pictures, or of which uids.
        leakage: what the splits share, if they were compared.
        scheme: split scheme of the map.
        references: folder outside the corpus from which pictures may be copied into the page.

    Raises:
        StorageError: the file cannot be written.
    """
    uids = choose_uids(corpus, previews) if isinstance(previews, int) else list(previews)
    with only_references_in(named_roots(references)):
        page = render_page(corpus, summary, uids, leakage=leakage, scheme=scheme)
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, page.encode())


def render_page(
    corpus: Corpus,
    summary: CorpusSummary,
    uids: Sequence[str],
    *,
    leakage: LeakageReport | None = None,
    scheme: str = "default",
) -> str:
    """The page as text."""
    environment = page_environment("voxtile.stages.inspect")
    environment.filters |= {"bytes": bytes_text, "share": share_text}
    environment.filters["distance"] = distance_text
    environment.globals["shape"] = shape_text
    overviews, overview_total = make_overviews(corpus)
    return environment.get_template(_TEMPLATE).render(
        s=summary,
        map=draw_map(corpus, scheme),
        leakage=leakage,
        name=summary.root.resolve().name,
        previews=make_previews(corpus, uids),
        overviews=overviews,
        overview_total=overview_total,
        total_bytes=sum(summary.sizes.values()),
        schemes=sorted({split.scheme for split in summary.splits}),
        version=voxtile.__version__,
    )
