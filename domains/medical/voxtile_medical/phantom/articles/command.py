"""`voxtile phantom articles`: invented open-access articles as packages of PubMed Central, with known truth."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from functools import partial
from pathlib import Path

from voxtile.phantom.writing import Phantom
from voxtile_medical.phantom.articles.cases import Truth, make_case

_README = """Articles phantom, seed {seed}, {n} articles

Everything here is synthetic; texts, numbers and pictures are invented.

packages/PMC*.tar.gz   one article each: its document in JATS and its pictures
packages/oa_file_list.csv   licence and retraction of each, as PubMed Central lists them
truth.csv              package, figure, status and reason in the ledger, caption, number of sentences that cite it; no
                       converter reads it

Another seed gives other pictures; the same seed gives the same bytes.
"""
# As PubMed Central has them, with the last column of its lists of bulk packages.
_LIST = (
    "File",
    "Article Citation",
    "Accession ID",
    "Last Updated (YYYY-MM-DD HH:MM:SS)",
    "PMID",
    "License",
    "Retracted",
)
PHANTOM = Phantom("articles", "articles", 40_000, _README)


def write_articles_phantom(out: Path, *, n: int = 200, seed: int = 0, clean: bool = False, workers: int = 0) -> None:
    """Write invented articles as packages of PubMed Central, with everything that such packages have wrong.

    Args:
        out: new or empty folder.
        n: number of articles.
        seed: another seed gives other pictures; the same seed gives the same bytes.
        clean: leave out what is damaged, retracted or under another licence: each figure is good.
        workers: number of processes; 0 for one a core.

    Raises:
        InputError: `out` is not empty, or n or seed is out of range.
    """
    job = partial(write_article, out, seed, clean)
    PHANTOM.write(out, job, partial(_tables, out), n=n, seed=seed, workers=workers, folders=("packages",))


def write_article(out: Path, seed: int, clean: bool, number: int) -> tuple[list[Truth], list[str]]:
    """Write the packages of one article; its truth, and its row of the list of files."""
    case = make_case(seed, number, clean=clean)
    for name, data in case.packages.items():
        path = out / "packages" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    licence, retracted = case.listed
    citation = f"J Invent Imaging. 2024; {number}:1"
    return case.truth, [
        f"oa_package/{case.package}",
        citation,
        case.pmcid,
        "2024-05-01 10:00:00",
        "",
        licence,
        retracted,
    ]


def _tables(out: Path, made: Sequence[tuple[list[Truth], list[str]]]) -> None:
    _write(out / "packages" / "oa_file_list.csv", _LIST, [row for _, row in made])
    names = [field.name for field in fields(Truth)]
    _write(out / "truth.csv", names, [astuple(one) for truth, _ in made for one in truth])


def _write(path: Path, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
