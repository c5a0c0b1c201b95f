"""Which way round a radiograph is shown: whether a larger stored value is brighter, by all that its header says of it.

From stored values to the picture there are the modality LUT or the rescale slope, the VOI LUT, and the photometric
interpretation with the presentation LUT shape (PS3.3 C.11, PS3.14); each may turn the picture round.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxtile_medical.dicom_header.dataset import read_dataset
from voxtile_medical.dicom_header.headers import FileHeader
from voxtile_medical.dicom_header.pydicom_warnings import quiet_pydicom

_TABLES = {"ModalityLUTSequence": "modality LUT", "VOILUTSequence": "VOI LUT"}
_MONOTONE = 0.95  # of the steps of a table go its way
# PS3.6 annex A: storage for processing of digital X-ray, mammography and intra-oral images.
_FOR_PROCESSING = tuple(f"1.2.840.10008.5.1.4.1.1.1.{number}.1" for number in (1, 2, 3))


@dataclass(frozen=True)
class FilmSign:
    """How a radiograph is shown.

    Attributes:
        falls: larger stored values are darker.
        turned_by: what turns the picture round, in the order of the pipeline.
        fault: why the direction is not certain; None where it is.
    """

    falls: bool
    turned_by: tuple[str, ...] = ()
    fault: str | None = None


def film_sign(root: Path, header: FileHeader, slope: float) -> FilmSign:
    """Read which way a picture of measured values is shown.

    Args:
        root: the source folder.
        header: of the file.
        slope: from stored to physical values.
    """
    tables = _tables(root / header.path)
    turned = []
    modality = tables.get("modality LUT")
    if modality is None and slope < 0:
        turned.append("RescaleSlope")
    turned += [name for name, way in tables.items() if way < 0]
    inverse = header.text("PhotometricInterpretation") == "MONOCHROME1"
    turned += ["MONOCHROME1"] if inverse else []
    faults = [f"the {name} goes neither up nor down" for name, way in tables.items() if way == 0]
    shape = header.text("PresentationLUTShape").upper()
    if shape in ("INVERSE", "IDENTITY") and (shape == "INVERSE") != inverse:
        said = "MONOCHROME1" if inverse else "MONOCHROME2"
        faults.append(f"PresentationLUTShape {shape} and {said} contradict each other, and the latter is followed")
    return FilmSign(len(turned) % 2 == 1, tuple(turned), "; ".join(faults) or None)


def intent(header: FileHeader) -> str | None:
    """`FOR PROCESSING` or `FOR PRESENTATION`, by its element or by the storage class; None where neither says."""
    stated = header.text("PresentationIntentType").upper()
    if stated in ("FOR PROCESSING", "FOR PRESENTATION"):
        return stated
    return "FOR PROCESSING" if header.text("SOPClassUID") in _FOR_PROCESSING else None


def _tables(path: Path) -> dict[str, int]:
    """Direction of the look-up tables: 1 up, −1 down, 0 neither; those that are not there are left out."""
    try:
        with quiet_pydicom():
            dataset = read_dataset(path, list(_TABLES))
            found = {name: dataset.get(keyword) for keyword, name in _TABLES.items()}
            return {name: _direction(_entries(items[0])) for name, items in found.items() if items}
    except Exception:  # sequences of unknown writers: what cannot be read is no table that could be followed
        return dict.fromkeys(_TABLES.values(), 0)


def _entries(item: Any) -> npt.NDArray[np.int64]:  # noqa: ANN401 - a pydicom data set
    data = item.LUTData
    if isinstance(data, bytes):
        little = item.is_little_endian if item.is_little_endian is not None else True
        return np.frombuffer(data, "<u2" if little else ">u2").astype(np.int64)
    return np.atleast_1d(np.asarray(data)).astype(np.int64)


def _direction(entries: npt.NDArray[np.int64]) -> int:
    steps = np.diff(entries)
    steps = steps[steps != 0]
    if not len(steps):
        return 0
    up = float((steps > 0).mean())
    return 1 if up >= _MONOTONE else -1 if up <= 1 - _MONOTONE else 0
