"""The file that names the labels of a NIfTI label map: beside it, or above it as BIDS and nnU-Net have it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from voxtile_medical.archives.stored import is_stored, names_in
from voxtile_medical.nifti.files import stem_of

OWN_SUFFIXES = (".json", ".tsv", ".csv", ".ctbl", ".xml", ".txt", ".lut")
DATASET_FILE = "dataset.json"


def sidecars_of(root: Path, mask: str) -> tuple[list[str], list[str]]:
    """Files that may name the labels of a label map: those of its own name, and those that it inherits.

    Args:
        root: folder of the masks.
        mask: path below it.

    Returns:
        Paths relative to the folder. The own go before the map's header extension, the inherited after it.
    """
    folder, stem = PurePosixPath(mask).parent, stem_of(mask)
    own = [str(p) for suffix in OWN_SUFFIXES if is_stored(root / (p := folder / f"{stem}{suffix}"))]
    return own, list(_inherited(root, folder, stem))


def _inherited(root: Path, folder: PurePosixPath, stem: str) -> Iterator[str]:
    """BIDS: a TSV of the same suffix whose entities the mask's name has; a lone colour table; a dataset.json."""
    for place in (folder, *folder.parents):
        names = names_in(root / place)
        for name in names:
            if name.endswith(".tsv") and _inherits(name.removesuffix(".tsv"), stem):
                yield str(place / name)
        tables = [name for name in names if name.endswith(".ctbl")]
        if len(tables) == 1:
            yield str(place / tables[0])
        if DATASET_FILE in names:
            yield str(place / DATASET_FILE)


def _inherits(table: str, mask: str) -> bool:
    """`atlas-X_dseg` names `sub-01_atlas-X_dseg` (BIDS inheritance principle)."""
    *entities, suffix = re.split("_", table)
    *own, own_suffix = re.split("_", mask)
    return suffix == own_suffix and suffix.endswith("seg") and set(entities) <= set(own)
