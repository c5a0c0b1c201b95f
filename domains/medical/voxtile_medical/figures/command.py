"""`voxtile convert figures`: figures of open-access articles with their captions."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from voxtile.console import output
from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.splits import parse_fractions
from voxtile.engine.run import RunOptions, run_task
from voxtile.errors import ConfigError, InputError, MissingExtraError
from voxtile_medical.archives.entries import is_archive_name
from voxtile_medical.figures.licences import REUSE, parse_allowed
from voxtile_medical.figures.task import NAME, FigureTask


def convert_figures(
    source: Path,
    corpus: Path,
    *,
    licence: str = REUSE,
    file_list: Sequence[Path] = (),
    mentions: bool = True,
    pdf: bool = False,
    smallest: int = 64,
    split_fractions: str = "0.8,0.1,0.1",
    **run: Any,  # noqa: ANN401
) -> None:
    """Convert figures of articles: packages of PubMed Central, or folders with a document in JATS or BioC.

    An article is a package (PMC1234.tar.gz, read once and never unpacked), a folder with an .nxml or .xml file and its
    pictures, or such a folder in a .tar or .zip. Each picture of a figure is a sample with its caption; sentences that
    cite the figure are further texts of the kind `mention`. Articles that were retracted, whose licence is not among
    those that are asked for, and older packages of an article are dropped; so are supplementary material and pictures
    of tables and formulae. Each has its row in the ledger. What is published is not de-identified.

    Args:
        source: a folder, an archive of many articles, or one package.
        corpus: the corpus to add to; made if it does not exist.
        licence: licences to take, of cc0, public-domain, cc-by, cc-by-sa, cc-by-nd, cc-by-nc, cc-by-nc-sa, cc-by-nc-nd,
            other (not stated, or not understood), any.
        file_list: oa_file_list.csv or .filelist.csv, with licences and retractions; those in SOURCE are found.
        mentions: take the sentences that cite a figure as texts of it.
        pdf: read articles that there are as a PDF alone, too (extra pdf): pictures that stand alone above a caption.
        smallest: pixels that the shorter side of a picture must have; smaller ones are icons and previews.
        split_fractions: shares of train, val and test; an article is in one of them.
        run: options of the run.

    Raises:
        ConfigError: there is no such licence.
        MissingExtraError: --pdf without the extra pdf.
        InputError: there is no article, or a list is none.
        RunFailedError: some articles or pictures could not be read; the rest is converted.
    """
    options = RunOptions(**run)
    if not source.exists():
        raise InputError(f"'{source}' does not exist; give the folder that the packages were downloaded to")
    if source.is_file() and not is_archive_name(source.name):
        raise InputError(f"'{source}' is neither a folder nor an archive; give the folder that holds the articles")
    if smallest < 1:
        raise ConfigError(f"--smallest {smallest}: a picture has at least one pixel a side")
    for path in file_list:
        if not path.is_file():
            raise InputError(f"'{path}' does not exist; give a list of files such as oa_file_list.csv")
    if pdf and importlib.util.find_spec("pypdfium2") is None:
        raise MissingExtraError("pypdfium2", "pdf")
    task = FigureTask(
        root=str(source),
        corpus=str(corpus),
        lists=tuple(map(str, file_list)),
        reader=options.plan_reader,
        allowed=parse_allowed(licence),
        mentions=mentions,
        smallest=smallest,
        fractions=parse_fractions(split_fractions),
        pdf=pdf,
    )
    summary = run_task(task, corpus, options)
    if not options.dry_run and (repeated := pictures_of_several_articles(corpus)):
        output().print(
            f"{repeated} pictures stand in more than one article, byte for byte; 'voxtile curate' with '--dedup "
            "picture' leaves one of each, and of near copies",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
    summary.raise_if_failed()


def pictures_of_several_articles(corpus: Path) -> int:
    """How many pictures are stored from more than one article."""
    paths = [path for path in part_paths(corpus, "samples") if path.stem.startswith(f"{NAME}-")]
    if not paths:
        return 0
    rows = read_parts(paths, table_schema("samples"), ["sha256", "study"])
    counts = rows.group_by("sha256").aggregate([("study", "count_distinct")])
    return int(pc.sum(pc.greater(counts["study_count_distinct"], 1)).as_py() or 0)
