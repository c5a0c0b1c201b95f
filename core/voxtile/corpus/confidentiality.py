"""What was done about identities when a sample was made: whether, and by which options of DICOM PS3.15 annex E.

A converter of DICOM records the codes of its profile and options (PS3.16 CID 7050) in the manifest of its run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from voxtile.bounded_text import read_json
from voxtile.corpus.records import record_paths
from voxtile.errors import CorpusError

FIELD = "deidentification"  # of a manifest: a list of codes
Dates: TypeAlias = Literal["moved", "full", "removed"]
FULL_DATES, MODIFIED_DATES = "113106", "113107"  # Retain Longitudinal Temporal Information Options


@dataclass(frozen=True, order=True)
class Code:
    """A profile or option by its code.

    Attributes:
        value: such as `113100`.
        meaning: of the code, as the standard has it.
        scheme: who defined it.
    """

    value: str
    meaning: str
    scheme: str = "DCM"

    def to_json(self) -> dict[str, str]:
        """As manifests hold it."""
        return {"code": self.value, "scheme": self.scheme, "meaning": self.meaning}


@dataclass(frozen=True)
class Confidentiality:
    """What is known of one run.

    Attributes:
        removed: identities were removed; None where the run says nothing about it.
        codes: of the profile and its options; empty where the run states none.
    """

    removed: bool | None = None
    codes: tuple[Code, ...] = ()

    @property
    def dates(self) -> Dates:
        """What became of dates; a run without codes moved them."""
        values = {code.value for code in self.codes}
        if FULL_DATES in values:
            return "full"
        return "moved" if MODIFIED_DATES in values or not values else "removed"


def confidentiality_of(root: Path, row: Mapping[str, Any]) -> Confidentiality:
    """What was done about the identity of a sample: what the run says that wrote its shard.

    Args:
        root: the corpus.
        row: of the sample. One that is stored in no shard is what all runs that brought samples agree on.

    Raises:
        CorpusError: a manifest is damaged.
    """
    made = [(files, found) for files, brought, found in _runs(root) if brought]
    of_shard = [found for files, found in made if row.get("shard") in files]
    return shared_by(of_shard or [found for _, found in made])


def told_codes(codes: Iterable[Code]) -> str:
    """Profile and options for people; empty where there are none."""
    return ", ".join(f"{code.meaning} ({code.value})" for code in codes)


def shared_by(runs: Iterable[Confidentiality]) -> Confidentiality:
    """What may be said of samples of several runs: removed only where all removed, by codes that all state."""
    found = list(runs)
    if not found or any(run.removed is None for run in found):
        return Confidentiality()
    codes = found[0].codes if all(run.codes == found[0].codes for run in found) else ()
    return Confidentiality(all(run.removed for run in found), codes)


def stated_in(manifest: Mapping[str, Any]) -> Confidentiality:
    """What a manifest says.

    Raises:
        KeyError, TypeError: its codes are none.
    """
    codes = [Code(str(c["code"]), str(c["meaning"]), str(c["scheme"])) for c in manifest.get(FIELD) or ()]
    removed = manifest.get("deidentify")
    return Confidentiality(None if removed is None else bool(removed), tuple(sorted(codes)))


def _runs(root: Path) -> Iterable[tuple[frozenset[str], bool, Confidentiality]]:
    """Of each manifest: its files, whether it brought samples, and what it says."""
    for path in record_paths(root)[1]:
        try:
            content: dict[str, Any] = dict(read_json(path))
            files = frozenset(content.get("files") or ())
            yield files, bool((content.get("counts") or {}).get("samples")), stated_in(content)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise CorpusError(f"the manifest '{path}' is damaged; run 'voxtile verify' on the corpus") from error
