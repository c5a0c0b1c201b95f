"""Series that something has damaged: what `voxtile convert dicom` makes of thousands of them, beside pydicom's reading.

Real CT, MR and PET series (cropped) are damaged in one of some twenty ways each: elements deleted, emptied or given odd
values in one file or in all, lengths that lie, value representations swapped, pixels cut short, sequences nested
deeply, patients and UIDs swapped, planes repeated or lost, bytes flipped. Each ends as a volume, or as rows with
reasons. A volume is compared with what pydicom reads in the same files: each of its planes must be a file's, at that
file's place and with that file's values, all of one patient, study and series, and a file of the series that is not in
it must have a row. What differs is printed with the damage. Run:
python benchmarks/mutated_series.py [--series 5000] [--seed 0] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import collections
import copy
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from voxtile.corpus.reader import Corpus

SOURCES = ("ibsi_sts_008/dicom/CT/image", "ibsi_sts_008/dicom/MR_T1/image", "ibsi_sts_008/dicom/PET/image",
           "totalseg_ct_mr_labels/example_ct_dicom")  # fmt: skip
PLANES, ROWS, COLUMNS = 7, 20, 24
KEY = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
TAGS = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "Modality",
    "PhotometricInterpretation", "SOPClassUID", "SOPInstanceUID", "PatientID", "StudyInstanceUID", "SeriesInstanceUID",
    "InstanceNumber", "PixelData", "FrameOfReferenceUID", "StudyDate", "PatientName", "ImageType", "SliceThickness",
    "Units", "RadiopharmaceuticalInformationSequence", "SeriesTime", "AcquisitionTime", "DecayCorrection",
)  # fmt: skip
ODD: dict[str, tuple[Any, ...]] = {
    "ImagePositionPatient": ([0, 0, 0], ["nan", "0", "0"], [1e30, 0, 0], [1, 2]),
    "ImageOrientationPatient": ([1, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0], [2, 0, 0, 0, 1, 0], [1, 0, 0, 1, 0, 0]),
    "PixelSpacing": ([0, 0], [-1, 1], [1e6, 1], [2, 0.5], [1]),
    "RescaleSlope": (0, 2, -1, "1e300"),
    "RescaleIntercept": (0, -1024, "-1e300", 7),
    "Rows": (0, 1, ROWS // 2, ROWS + 1, 65535),
    "Columns": (0, 1, COLUMNS // 2, COLUMNS + 1),
    "BitsAllocated": (0, 1, 8, 12, 32, 64),
    "BitsStored": (0, 1, 8, 17),
    "HighBit": (0, 7, 31),
    "PixelRepresentation": (0, 1, 2),
    "SamplesPerPixel": (0, 2, 3),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "PALETTE COLOR", "NONSENSE"),
    "Modality": ("CT", "MR", "PT", "SC", "XX"),
    "NumberOfFrames": (0, 2, 7, 1000000),
    "InstanceNumber": (1, -5, 2147483647),
    "PixelPaddingValue": (0, 40),
    "SOPInstanceUID": ("", "1.2.3"),
}


@dataclass
class Series:
    """A series to damage: its data sets, and the files' bytes where damage is done to those."""

    planes: list[Dataset]
    raw: dict[int, bytes]
    done: str = ""


Damage = Callable[[Series, np.random.Generator], None]


def _cropped(folder: Path) -> list[Dataset]:
    found = [pydicom.dcmread(path) for path in sorted(folder.iterdir()) if path.is_file()]
    found.sort(key=lambda plane: float(plane.ImagePositionPatient[2]))
    found = found[len(found) // 2 - PLANES // 2 :][:PLANES]
    for plane in found:
        pixels = plane.pixel_array[100 : 100 + ROWS, 100 : 100 + COLUMNS] if plane.Rows > 200 else plane.pixel_array
        pixels = np.ascontiguousarray(pixels[:ROWS, :COLUMNS])
        plane.Rows, plane.Columns = pixels.shape
        plane.PixelData = pixels.tobytes()
        plane["PixelData"].VR = "OW"
        plane.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for keyword in ("PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue"):
            plane.pop(keyword, None)
    return found


def _some(series: Series, rng: np.random.Generator) -> list[Dataset]:
    """All planes, one, or a few of them."""
    way = rng.integers(3)
    if way == 0:
        return series.planes
    count = 1 if way == 1 else int(rng.integers(2, len(series.planes)))
    return [series.planes[i] for i in rng.permutation(len(series.planes))[:count]]


def _raw(series: Series, rng: np.random.Generator) -> tuple[int, bytearray]:
    index = int(rng.integers(len(series.planes)))
    return index, bytearray(_bytes(series.planes[index]))


def _bytes(plane: Dataset) -> bytes:
    with pydicom.filebase.DicomBytesIO() as buffer, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for element in plane:
            if element.VR == "US or SS":
                element.VR = "US"
        plane.save_as(buffer, enforce_file_format=False)
        return bytes(buffer.getvalue())


def delete(series: Series, rng: np.random.Generator) -> None:
    """An element is not there."""
    keyword = str(rng.choice(TAGS))
    some = _some(series, rng)
    for plane in some:
        plane.pop(keyword, None)
    series.done = f"{keyword} deleted in {len(some)}"


def empty(series: Series, rng: np.random.Generator) -> None:
    """An element has no value."""
    keyword = str(rng.choice(TAGS))
    some = _some(series, rng)
    for plane in some:
        if keyword in plane:
            plane[keyword].value = None
    series.done = f"{keyword} emptied in {len(some)}"


def odd(series: Series, rng: np.random.Generator) -> None:
    """An element has another value."""
    keyword = str(rng.choice(list(ODD)))
    value = ODD[keyword][int(rng.integers(len(ODD[keyword])))]
    some = _some(series, rng)
    for plane in some:
        try:
            setattr(plane, keyword, value)
        except (ValueError, TypeError, OverflowError):
            plane.pop(keyword, None)
    series.done = f"{keyword} = {value} in {len(some)}"


def cut(series: Series, rng: np.random.Generator) -> None:
    """A file ends early."""
    index, raw = _raw(series, rng)
    at = int(rng.integers(1, len(raw)))
    series.raw[index] = bytes(raw[:at])
    series.done = f"file {index} cut at {at} of {len(raw)}"


def cut_pixels(series: Series, rng: np.random.Generator) -> None:
    """Pixel data of one file or of all are too short, or too long."""
    some = _some(series, rng)
    by = int(rng.choice([-400, -2, 2, 400]))
    for plane in some:
        pixels = plane.PixelData
        plane.PixelData = pixels[:by] if by < 0 else pixels + bytes(by)
    series.done = f"pixels longer by {by} in {len(some)}"


def length_lies(series: Series, rng: np.random.Generator) -> None:
    """The length of an element is another."""
    index, raw = _raw(series, rng)
    at = _element(raw, rng)
    was = struct.unpack_from("<H", raw, at + 6)[0]
    now = int(rng.choice([0, 1, was + 2, max(was - 2, 0), 0xFFFF, 0x7FFF]))
    struct.pack_into("<H", raw, at + 6, now)
    series.raw[index] = bytes(raw)
    series.done = f"length {was} of ({_tag(raw, at)}) is {now} in file {index}"


def vr_swap(series: Series, rng: np.random.Generator) -> None:
    """The value representation of an element is another."""
    index, raw = _raw(series, rng)
    at = _element(raw, rng)
    was, now = bytes(raw[at + 4 : at + 6]), str(rng.choice(["US", "DS", "SQ", "UN", "OB", "FD", "XX", "PN"]))
    raw[at + 4 : at + 6] = now.encode()
    series.raw[index] = bytes(raw)
    series.done = f"VR {was!r} of ({_tag(raw, at)}) is {now} in file {index}"


def flip_bytes(series: Series, rng: np.random.Generator) -> None:
    """A few bytes of the header are others."""
    index, raw = _raw(series, rng)
    where = rng.integers(132, len(raw) - ROWS * COLUMNS * 2, size=int(rng.integers(1, 6)))
    for at in where:
        raw[at] = int(rng.integers(256))
    series.raw[index] = bytes(raw)
    series.done = f"bytes {sorted(where.tolist())} of file {index} are others"


def nest(series: Series, rng: np.random.Generator) -> None:
    """Sequences within sequences."""
    depth = int(rng.choice([5, 50, 900]))
    inner = Dataset()
    inner.PatientID = "inner"
    for _ in range(depth):
        outer = Dataset()
        outer.ReferencedImageSequence = Sequence([inner])
        inner = outer
    index = int(rng.integers(len(series.planes)))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        series.planes[index].ReferencedImageSequence = Sequence([inner])
        series.raw[index] = _bytes(series.planes[index])
    finally:
        sys.setrecursionlimit(limit)
    series.done = f"{depth} sequences in file {index}"


def swap_patient(series: Series, rng: np.random.Generator) -> None:
    """Some planes are another patient's."""
    some = _some(series, rng)
    for plane in some:
        plane.PatientID, plane.PatientName = "another", "Another^One"
    series.done = f"{len(some)} of another patient"


def mix_uids(series: Series, rng: np.random.Generator) -> None:
    """Some planes have another UID of series, study, frame of reference or instance."""
    some = _some(series, rng)
    keyword = str(rng.choice([*KEY[1:], "FrameOfReferenceUID", "SOPInstanceUID"]))
    uid = generate_uid()
    for plane in some:
        setattr(plane, keyword, uid)
    series.done = f"{keyword} of {len(some)} is another"


def lose(series: Series, rng: np.random.Generator) -> None:
    """A plane is not there."""
    index = int(rng.integers(len(series.planes)))
    del series.planes[index]
    series.done = f"plane {index} lost"


def repeat(series: Series, rng: np.random.Generator) -> None:
    """A plane is there twice, with the same pixels or with others, under its own UID or another."""
    index = int(rng.integers(len(series.planes)))
    again = copy.deepcopy(series.planes[index])
    ways = rng.integers(2, size=2)
    if ways[0]:
        again.PixelData = bytes(len(again.PixelData))
    if ways[1]:
        again.SOPInstanceUID = generate_uid()
    series.planes.append(again)
    series.done = f"plane {index} twice, {'other' if ways[0] else 'same'} pixels, {'other' if ways[1] else 'same'} UID"


def move(series: Series, rng: np.random.Generator) -> None:
    """A plane lies elsewhere, or is turned."""
    plane = series.planes[int(rng.integers(len(series.planes)))]
    by = rng.choice([0.01, 1, 20], size=3) * rng.integers(2, size=3)
    plane.ImagePositionPatient = [float(a) + float(b) for a, b in zip(plane.ImagePositionPatient, by, strict=True)]
    if rng.integers(2):
        plane.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    series.done = f"a plane moved by {by.tolist()}, orientation {list(plane.ImageOrientationPatient)}"


def twist(series: Series, rng: np.random.Generator) -> None:
    """Sizes, scales or types differ between planes."""
    plane = series.planes[int(rng.integers(len(series.planes)))]
    way = int(rng.integers(4))
    if way == 0:
        plane.PixelSpacing = [float(v) * 1.1 for v in plane.PixelSpacing]
    elif way == 1:
        plane.RescaleSlope = 3
    elif way == 2:
        plane.PixelRepresentation = 1 - plane.PixelRepresentation
    else:
        plane.Rows, plane.Columns = plane.Columns, plane.Rows
    series.done = f"one plane differs in {('PixelSpacing', 'slope', 'sign', 'shape')[way]}"


DAMAGES: tuple[Damage, ...] = (
    delete, delete, empty, odd, odd, odd, cut, cut_pixels, length_lies, length_lies, vr_swap, vr_swap, flip_bytes,
    flip_bytes, nest, swap_patient, mix_uids, lose, repeat, move, twist,
)  # fmt: skip


def _element(raw: bytearray, rng: np.random.Generator) -> int:
    """Where one of the elements with a short length begins."""
    found, at = [], 132
    while at + 12 < len(raw):
        vr = bytes(raw[at + 4 : at + 6])
        if vr in (b"OB", b"OW", b"SQ", b"UN", b"UT", b"OF", b"UC", b"UR", b"OD", b"OL"):
            length = struct.unpack_from("<I", raw, at + 8)[0]
            if length == 0xFFFFFFFF:
                break
            at += 12 + length
            continue
        found.append(at)
        at += 8 + struct.unpack_from("<H", raw, at + 6)[0]
    return int(rng.choice(found))


def _tag(raw: bytearray, at: int) -> str:
    return ",".join(f"{part:04X}" for part in struct.unpack_from("<HH", raw, at))


def write(folder: Path, base: list[Dataset], number: int, seed: int) -> str:
    """One damaged series, and beside it each file as it was; what was done to it."""
    rng = np.random.default_rng((seed, number))
    series = Series([copy.deepcopy(plane) for plane in base], {})
    own = {keyword: generate_uid() for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    for plane in series.planes:
        plane.PatientID = f"P{number}"
        for keyword, uid in own.items():
            setattr(plane, keyword, uid)
        plane.SOPInstanceUID = generate_uid()
    sound = [copy.deepcopy(plane) for plane in series.planes]
    damage = DAMAGES[number % len(DAMAGES)]
    damage(series, rng)
    folder.mkdir(parents=True)
    for index in rng.permutation(len(series.planes)).tolist():
        raw = series.raw.get(index) or _bytes(series.planes[index])
        (folder / f"{index:02d}.dcm").write_bytes(raw)
    whole = folder.parent.parent / "whole" / folder.name
    whole.mkdir(parents=True)
    for index, plane in enumerate(sound):
        (whole / f"{index:02d}.dcm").write_bytes(_bytes(plane))
    return f"{damage.__name__}: {series.done}"


@dataclass
class Plane:
    """A file as pydicom reads it."""

    key: tuple[str, ...]
    affine: npt.NDArray[np.float64]  # [4, 3]: (column, row, 1) to RAS mm
    values: npt.NDArray[np.float64]  # [Y, X]


def planes_of(work: Path, name: str) -> Iterator[tuple[str, Plane | None]]:
    """The files of a series, as they were before the damage where pydicom cannot read them now."""
    for path in sorted((work / "in" / name).iterdir()):
        try:
            yield path.name, _plane(path)
        except Exception:  # whatever pydicom says of damaged files
            whole = work / "whole" / name / path.name
            yield path.name, _plane(whole) if whole.exists() else None


def _plane(path: Path) -> Plane:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _as_plane(pydicom.dcmread(path, force=True))


def _as_plane(read: Dataset) -> Plane:
    along = np.array([float(v) for v in read.ImageOrientationPatient]).reshape(2, 3)
    rows, columns = (float(v) for v in read.PixelSpacing)
    corner = np.array([float(v) for v in read.ImagePositionPatient])
    lps = np.stack([along[0] * columns, along[1] * rows, corner], axis=1)
    affine = np.diag([-1.0, -1.0, 1.0]) @ lps
    slope, intercept = (read.get(name) for name in ("RescaleSlope", "RescaleIntercept"))
    values = read.pixel_array.astype(np.float64) * float(1 if slope in (None, "") else slope) + float(intercept or 0)
    return Plane(tuple(str(read.get(keyword, "")) for keyword in KEY), affine, values)


def judge(
    volume: npt.NDArray[np.float64], affine: npt.NDArray[np.float64], files: dict[str, Plane | None]
) -> str | set[str]:
    """Names of the files whose planes a volume holds, or how it differs from them.

    Args:
        volume: [Z, Y, X] physical values.
        affine: [4, 4] voxel (x, y, z) to RAS mm.
        files: of the folder.
    """
    inverse = np.linalg.inv(affine)
    filled = np.zeros(volume.shape, bool)
    used, keys = set(), set()
    for name, plane in files.items():
        if plane is None or plane.values.ndim != 2:
            continue
        y, x = np.mgrid[: plane.values.shape[0], : plane.values.shape[1]]
        world = np.einsum("ij,jyx->iyx", plane.affine, np.stack([x, y, np.ones_like(x)]).astype(np.float64))
        index = np.einsum("ij,jyx->iyx", inverse[:3, :3], world) + inverse[:3, 3][:, None, None]
        near = np.rint(np.nan_to_num(index, nan=-1e6, posinf=1e6, neginf=-1e6).clip(-1e6, 1e6))
        if np.abs(index - near).max() > 0.02:  # of a voxel: planes are not read at another's place
            continue
        i, j, k = near.astype(int)
        if min(i.min(), j.min(), k.min()) < 0 or i.max() >= volume.shape[2] or j.max() >= volume.shape[1]:
            continue
        if k.max() >= volume.shape[0] or filled[k, j, i].any():
            continue
        if not np.allclose(volume[k, j, i], plane.values, rtol=1e-5, atol=1e-3):
            continue
        filled[k, j, i] = True
        used.add(name)
        keys.add(plane.key)
    if not filled.all():
        return f"{1 - filled.mean():.0%} of the voxels are no file's values at their place"
    several = [{key[part] for key in keys} - {""} for part in range(len(KEY))]
    if any(len(values) > 1 for values in several):
        return f"planes of {len(keys)} different patients, studies or series in one volume"
    return used


def main() -> None:
    """Write, convert, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--series", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--work", type=Path)
    arguments = parser.parse_args()
    work = arguments.work or Path(tempfile.mkdtemp(prefix="mutated-"))
    data = Path(os.environ.get("VOXTILE_TEST_DATA", "../shared/data")) / "medical"
    bases = [_cropped(data / source) for source in SOURCES]
    done = {}
    for number in range(arguments.series):
        name = f"{number:05d}"
        done[name] = write(work / "in" / name, bases[number % len(bases)], number, arguments.seed)
    corpus = work / "corpus"
    started = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "-P", "-c", "from voxtile.cli.main import main; raise SystemExit(main())", "convert", "dicom",
         str(work / "in"), str(corpus), "--no-deidentify", "--quiet"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    seconds = time.perf_counter() - started
    print(f"exit status {said.returncode} after {seconds:.0f} s")
    if said.returncode not in (0, 1):
        sys.exit(said.stderr[-2000:])
    compare(work, corpus, done)


def compare(work: Path, corpus: Path, done: dict[str, str]) -> None:
    """Hold each volume to its files; print counts, and everything that differs."""
    opened = Corpus(corpus)
    rows: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for row in opened.ledger().to_pylist():
        rows[str(row["source"]).split("/")[0]].append(row)
    samples: dict[str, list[dict[str, Any]]] = collections.defaultdict(list)
    for row in opened.table("samples").to_pylist():
        samples[str(row["source"]).split("/")[0]].append(row)
    counts: collections.Counter[str] = collections.Counter()
    reasons: collections.Counter[str] = collections.Counter()
    differ = []
    for name, damage in done.items():
        if not rows[name]:
            differ.append((name, damage, "no row in the ledger"))
        reasons.update(row["reason"] for row in rows[name] if row["reason"])
        if not samples[name]:
            counts["no volume"] += 1
            continue
        files = dict(planes_of(work, name))
        held: set[str] = set()
        for row in samples[name]:
            counts["volumes"] += 1
            array = opened.source(row).array()
            channel = row["channels"][0]
            values = np.asarray(array, np.float64) * channel["scale"] + channel["offset"]
            if row["axes"] != "ZYX":
                counts["pictures"] += 1
                continue
            found = judge(values, np.array(row["affine"]).reshape(4, 4), files)
            if isinstance(found, str):
                said = [f"{row['status']} {row['reason']}" for row in rows[name]]
                differ.append((name, damage, f"{found}; {row['units']}; ledger {said}"))
            else:
                held |= found
        named = {str(row["source"]).split("/")[-1] for row in rows[name] if row["status"] != "used"}
        lost = set(files) - held - named
        noted = any(row["reason"] for row in rows[name])
        if lost and held and not noted:
            differ.append((name, damage, f"{sorted(lost)} are in no volume and have no row"))
    print(dict(counts), f"{len(differ)} differ")
    print(json.dumps(dict(reasons.most_common()), indent=1))
    for name, damage, why in differ:
        print(f"{name} {damage} -> {why}")


if __name__ == "__main__":
    main()
