"""From the headers of a tree to series that are whole and of one patient; what is not is set aside by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voxtile.engine.parallel import PlanReader
from voxtile_medical.dicom import odd_planes
from voxtile_medical.dicom.copies import CONFLICT, find_repeats
from voxtile_medical.dicom.damaged_files import damaged_slices
from voxtile_medical.dicom.series import Series, group_series
from voxtile_medical.dicom.series_kinds import VOLUME_MODALITIES
from voxtile_medical.dicom_header.headers import FileHeader, NotUsable
from voxtile_medical.dicom_header.tree import DicomTree
from voxtile_medical.verdicts import Verdict


def whole_series(tree: DicomTree, headers: Sequence[FileHeader], reader: PlanReader, min_slices: int) -> list[Series]:
    """Series of a tree, without copies, odd planes and what cannot be told apart.

    Args:
        tree: with the files that cannot be used.
        headers: those of its files that are looked at.
        reader: reads the pixels of files that may be copies.
        min_slices: fewest planes of a volume.
    """
    grouped = group_series(headers)
    damaged = damaged_slices([s.headers if _is_volume(s) else () for s in grouped], tree.others)
    repeats = find_repeats([() if series.refusal else series.headers for series in grouped], tree.root, reader)
    found = []
    for index, (series, repeat) in enumerate(zip(grouped, repeats, strict=True)):
        if series.refusal is None:
            series = replace(series, headers=repeat.kept, copies=repeat.copies)
            series = _without_conflicts(series, repeat.conflicts)
        if series.refusal is None and damaged.get(index):
            series = replace(series, refusal=_incomplete(damaged[index]))
        if series.refusal is None:
            series = _without_odd(series, min_slices)
        found.append(series)
    return found


def _is_volume(series: Series) -> bool:
    return series.first.text("Modality") in VOLUME_MODALITIES


def _without_conflicts(series: Series, conflicts: Sequence[FileHeader]) -> Series:
    """Pictures stand alone; a volume whose plane has two contents has none."""
    if not conflicts:
        return series
    verdict = Verdict(
        CONFLICT, f"{len(conflicts)} files have one SOPInstanceUID and place with another, and other pixels; keep one"
    )
    kept = tuple(header for header in series.headers if header not in conflicts)
    if _is_volume(series) or not kept:
        return replace(series, refusal=verdict)
    return replace(series, headers=kept, aside=tuple((header, verdict) for header in conflicts))


def _incomplete(damaged: Sequence[NotUsable]) -> Verdict:
    return Verdict(
        "incomplete-series",
        f"{len(damaged)} damaged files ({damaged[0].reason}) may be slices of it, and their rows name them; "
        "copy them again, or move away what is none",
    )


def _without_odd(series: Series, min_slices: int) -> Series:
    odd = odd_planes.odd_planes(series.headers, min_slices)
    if not odd:
        return series
    kept = tuple(header for header in series.headers if header not in odd)
    verdict = Verdict(odd_planes.REASON, odd_planes.note(len(kept)))
    return replace(series, headers=kept, aside=tuple((header, verdict) for header in odd))
