"""Files that hold what cannot be, or lack pixels, found while the plan is made: each is a row under its own name.

A volume lacks a plane without such a file, so that the rest of the series is a row of its own; pictures stand alone.
"""

from __future__ import annotations

from voxtile_medical.dicom.pictures import check_picture
from voxtile_medical.dicom.series import Series
from voxtile_medical.dicom.series_kinds import kind_of, modality_of, refuse_burned_in
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_planes.enhanced import is_enhanced
from voxtile_medical.dicom_planes.frames import check_frame, classic_frame
from voxtile_medical.dicom_planes.pixels import check_length, layout_of
from voxtile_medical.verdicts import Verdict

BadFile = tuple[FileHeader, Verdict]


def bad_files(series: Series, *, allow_burned_in: bool) -> list[BadFile]:
    """Files of a series that hold what cannot be, in order.

    Args:
        series: with the headers of all its files.
        allow_burned_in: pictures in which text may be burned are converted.
    """
    try:
        kind = kind_of(series.first)
        if not allow_burned_in:
            refuse_burned_in(series.first)
    except Verdict:  # not to be converted in any case, for a reason that its row names
        return []
    check = _check_plane if kind == "volume" else check_picture
    bad: list[BadFile] = []
    for header in series.headers:
        try:
            check(header)
        except Verdict as verdict:
            if verdict.status == "failed":
                bad.append((header, verdict))
    return bad


def _check_plane(header: FileHeader) -> None:
    """Frames of enhanced files are looked at when they are converted: there is one file, whose row has its name."""
    if not is_enhanced(header):
        check_frame(classic_frame(header, 0), modality_of(header))
    check_length(header, layout_of(header))
