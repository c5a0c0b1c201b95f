"""What lists beside the articles say of them: licence, retraction, citation.

Lists of files of PubMed Central (`oa_file_list.csv` of the whole, `oa_comm_xml.….filelist.csv` of one bulk package):
https://pmc.ncbi.nlm.nih.gov/tools/ftp/. Metadata of the cloud service, one JSON an article and version:
https://pmc.ncbi.nlm.nih.gov/tools/pmcaws/.
"""

from __future__ import annotations

import csv
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.errors import InputError

_COLUMNS = {
    "accession": ("accessionid", "pmcid"),
    "licence": ("license", "licence"),
    "retracted": ("retracted",),
    "citation": ("articlecitation", "citation"),
}
_YES = frozenset(["yes", "true", "1", "y"])


@dataclass(frozen=True)
class Listed:
    """What a list says of an article; empty where it says nothing."""

    licence: str = ""
    retracted: bool = False
    citation: str = ""


def is_file_list(name: str) -> bool:
    """The name is that of a list of files."""
    lower = name.lower()
    return lower.endswith(".csv") and ("file_list" in lower or "filelist" in lower)


def read_file_list(path: Path, wanted: Collection[str]) -> dict[str, Listed]:
    """Rows of a list by PMCID, of the articles that are wanted; the list itself has millions.

    Raises:
        InputError: it has no column of accessions or of licences, or is no table.
    """
    found: dict[str, Listed] = {}
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            rows = csv.reader(file)
            header = [name.split("(")[0].lower().replace(" ", "").replace("_", "") for name in next(rows, [])]
            places = {what: _place(header, names) for what, names in _COLUMNS.items()}
            accession, licence = places["accession"], places["licence"]
            if accession is None or licence is None:
                raise InputError(
                    f"'{path}' is no list of files of PubMed Central: it has no column "
                    f"{'Accession ID' if accession is None else 'License'}; give oa_file_list.csv or a .filelist.csv"
                )
            for row in rows:
                key = row[accession].strip() if len(row) > accession else ""
                if key in wanted:
                    found[key] = _listed(row, places)
    except (OSError, csv.Error) as error:
        raise InputError(f"'{path}' cannot be read as a table ({error}); copy it again") from error
    return found


def read_metadata(data: bytes) -> Listed | None:
    """Metadata of the cloud service; None where a JSON is something else."""
    try:
        found: Any = load_json(data)
    except ValueError:
        return None
    if not isinstance(found, dict) or "license_code" not in found:
        return None
    return Listed(
        str(found.get("license_code") or ""), found.get("is_retracted") is True, str(found.get("citation") or "")
    )


def _place(header: list[str], names: tuple[str, ...]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _listed(row: list[str], places: dict[str, int | None]) -> Listed:
    cells = {what: row[at].strip() if at is not None and at < len(row) else "" for what, at in places.items()}
    return Listed(cells["licence"], cells["retracted"].lower() in _YES, cells["citation"])
