"""Our DICOM conversion beside dcm2niix and SimpleITK: is every voxel the same, and at the same place?

Folders are converted without de-identification, and by dcm2niix (`-p n`: the displayed values of Philips). Each volume
of theirs, the time points of a 4D file apart, must be one of ours of the same SeriesInstanceUID: physical values equal
within the rounding of float32, an affine within 1e-4 (both turned to the axes nearest RAS+), and the b-value and
direction of its .bval and .bvec. Each plane that SimpleITK reads of a series that we use must lie in one of our volumes
with the same values. Every volume that one side has and the other has not is listed with our reason. Run:
python benchmarks/dicom_reference.py --dcm2niix PEER/bin/dcm2niix [--simpleitk] [--work WORK] NAME=FOLDER …
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom

AFFINE_TOLERANCE = 1e-4
PEER_OPTIONS = ("-b", "y", "-ba", "n", "-z", "n", "-p", "n", "-d", "9", "-w", "2", "-f", "%f_%s_%t_%e_%j", "-o")
MOST_DEGREES = 0.5  # between gradient directions
ASKED = {"deidentify": False, "suv": "none", "min_slices": 1, "masks": False, "tilted": "shear"}
UNNAMED = "(no SeriesInstanceUID)"


@dataclass
class Volume:
    """A volume of one side, its axes nearest RAS+.

    Attributes:
        name: where it is from.
        array: [X, Y, Z] physical values, float64.
        affine: [4, 4], voxel → RAS+ mm.
        label: what tells it from its series' others.
        b_value: s/mm²; None where it is not known.
        direction: of the diffusion gradient, RAS; None where there is none.
    """

    name: str
    array: Any
    affine: Any
    label: str = ""
    b_value: float | None = None
    direction: Any = None


@dataclass
class Tally:
    """What was found in one folder."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)


def peer_volumes(out: Path) -> Iterator[tuple[str, Volume]]:
    """dcm2niix's volumes with their SeriesInstanceUID."""
    for sidecar in sorted(out.glob("**/*.json")):
        path = sidecar.with_suffix(".nii")
        if not path.exists():
            continue
        # Not parsed: texts of broken headers make it no JSON.
        named = re.search(r'"SeriesInstanceUID": "([^"]*)"', sidecar.read_text(errors="replace"))
        series = named[1] if named else UNNAMED
        image = nib.load(path)
        if image.dataobj.dtype.fields:  # RGB
            yield series, Volume(f"{path.name} (colour)", None, image.affine)
            continue
        turned = nib.as_closest_canonical(image)
        if turned.ndim < 3:
            yield series, Volume(f"{path.name} (one plane)", np.asarray(turned.dataobj)[..., None], turned.affine)
            continue
        shape = turned.shape[:3]
        values = np.asarray(turned.dataobj, dtype=np.float64).reshape(*shape, -1)
        weights = gradients(path, image.affine, values.shape[3])
        for k in range(values.shape[3]):
            name = path.stem + (f"[{k}]" if values.shape[3] > 1 else "")
            yield series, Volume(name, values[..., k], turned.affine, "", *weights[k])


def gradients(path: Path, affine: Any, count: int) -> list[tuple[float | None, Any]]:
    """b-values and directions (RAS) of FSL's files beside a NIfTI, whose x runs against a right-handed image's."""
    b_values, vectors = path.with_suffix(".bval"), path.with_suffix(".bvec")
    if not b_values.exists():
        return [(None, None)] * count
    rotation = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    sign = -1.0 if np.linalg.det(affine[:3, :3]) > 0 else 1.0
    stated = np.loadtxt(vectors, ndmin=2) if vectors.exists() else np.zeros((3, count))
    world = rotation @ (stated * np.array([[sign], [1.0], [1.0]]))
    numbers = np.loadtxt(b_values, ndmin=1)
    return [(float(numbers[k]), world[:, k] if np.linalg.norm(world[:, k]) > 0.5 else None) for k in range(count)]


def our_volumes(corpus_path: Path) -> Iterator[tuple[str, str, Volume]]:
    """Our volumes with their SeriesInstanceUID and their first file."""
    from voxtile.corpus.reader import Corpus

    if not (corpus_path / "corpus.json").exists():  # nothing in it is DICOM
        return
    corpus = Corpus(corpus_path)
    for row in corpus.table("samples").to_pylist():
        attributes = json.loads(row["attributes"])
        if row["kind"] != "volume":
            continue
        stored = np.asarray(corpus.source(row).array(), dtype=np.float64).transpose(2, 1, 0)
        scale = row["channels"][0]
        array = stored * scale["scale"] + scale["offset"]
        label = json.dumps(attributes.get("volume_key", {}))
        weight = attributes.get("b_value_s_mm2"), attributes.get("diffusion_direction")
        volume = Volume(row["source"], array, np.array(row["affine"]).reshape(4, 4), label, *weight)
        yield attributes.get("series", UNNAMED), row["source"], volume


def same_values(one: Any, other: Any) -> bool:
    """Equal within the rounding of float32, in which NIfTI holds its scale."""
    if one is None or other is None or one.shape != other.shape:
        return False
    tolerance = 4e-7 * max(float(np.abs(one).max()), 1e-30)
    middle = one.shape[2] // 2
    return bool(
        np.abs(one[..., middle] - other[..., middle]).max() <= tolerance and np.abs(one - other).max() <= tolerance
    )


def weighting_error(mine: Volume, peer: Volume) -> str:
    """How diffusion weighting differs; empty where it does not. A gradient and its opposite are the same."""
    if mine.b_value is None or abs(mine.b_value - (peer.b_value or 0.0)) > 0.5:
        return f"b {mine.b_value} against {peer.b_value}"
    if (mine.direction is None) != (peer.direction is None):
        return f"direction {mine.direction} against {peer.direction}"
    if mine.direction is None:
        return ""
    cosine = abs(float(np.dot(mine.direction, peer.direction))) / float(np.linalg.norm(peer.direction))
    return (
        ""
        if cosine > np.cos(np.radians(MOST_DEGREES))
        else f"{np.round(mine.direction, 3)} against {peer.direction.round(3)}"
    )


def affine_error(one: Any, other: Any) -> float:
    """Largest difference of an entry; of the offsets as a part of their size where that is above 1 mm."""
    scale = np.maximum(np.abs(other), 1.0)
    return float((np.abs(one - other) / scale).max())


def pictures(corpus_path: Path) -> set[str]:
    """Series that we store as pictures: screens, radiographs, films."""
    from voxtile.corpus.reader import Corpus

    if not (corpus_path / "corpus.json").exists():
        return set()
    rows = Corpus(corpus_path).table("samples", ["kind", "attributes"]).to_pylist()
    return {json.loads(row["attributes"]).get("series", UNNAMED) for row in rows if row["kind"] == "image"}


def refusals(corpus_path: Path, source: Path) -> dict[str, Counter[str]]:
    """Reasons of our ledger by SeriesInstanceUID of the file that a row names."""
    from voxtile.corpus.reader import Corpus

    found: dict[str, Counter[str]] = defaultdict(Counter)
    if not (corpus_path / "corpus.json").exists():
        return found
    for row in Corpus(corpus_path).ledger().to_pylist():
        path = source / row["source"].split("#")[0]
        try:
            series = str(
                pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SeriesInstanceUID"]).get(
                    "SeriesInstanceUID", UNNAMED
                )
            )
        except Exception:  # not DICOM: it is of no series
            series = UNNAMED
        if row["status"] != "used" or row["reason"]:
            found[series][f"{row['reason']}: {row.get('detail') or ''}"] += 1
    return found


def compare(name: str, source: Path, work: Path, dcm2niix: str, simpleitk: bool) -> Tally:
    """Both sides on one folder."""
    from voxtile.errors import VoxtileError
    from voxtile_medical.convert.dicom import convert_dicom

    tally = Tally()
    out, corpus = work / name / "peer", work / name / "corpus"
    if not (work / name / "peer.log").exists():
        out.mkdir(parents=True, exist_ok=True)
        command = [dcm2niix, *PEER_OPTIONS, str(out), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        (work / name / "peer.log").write_text(done.stdout + done.stderr)
    if not corpus.exists():
        try:
            convert_dicom(source, corpus, **ASKED, workers=1)
        except VoxtileError as error:  # damaged files among them; the ledger names them
            print(f"{name}: {str(error)[:300]}", file=sys.stderr)
    ours: dict[str, list[Volume]] = defaultdict(list)
    first: dict[str, str] = {}
    for series, path, volume in our_volumes(corpus):
        ours[series].append(volume)
        first[series] = path
    theirs: dict[str, list[Volume]] = defaultdict(list)
    for series, volume in peer_volumes(out):
        theirs[series].append(volume)
    refused = refusals(corpus, source)
    alone = {series: mine for series, mine in ours.items() if series not in theirs}
    for unknown in [series for series in theirs if series not in ours]:  # dcm2niix makes up some UIDs
        for volume in theirs.pop(unknown):
            of = (s for s, mine in alone.items() if any(same_values(m.array, volume.array) for m in mine))
            theirs[next(of, unknown)].append(volume)
    shown = pictures(corpus)
    for series in sorted({*ours, *theirs}):
        if series in shown and series not in ours:
            tally.counts["series stored as pictures"] += 1
            continue
        judge(series, ours.get(series, []), theirs.get(series, []), refused.get(series, Counter()), tally)
    if simpleitk:
        against_simpleitk(source, ours, tally)
    return tally


def judge(series: str, ours: list[Volume], theirs: list[Volume], refused: Counter[str], tally: Tally) -> None:
    """Match the volumes of a series."""
    tally.counts["series"] += 1
    tally.counts["peer volumes"] += len(theirs)
    tally.counts["our volumes"] += len(ours)
    left = list(ours)
    unmatched = []
    for volume in theirs:
        equal = [mine for mine in left if same_values(mine.array, volume.array)]
        if not equal and any(same_values(mine.array, volume.array) for mine in ours):
            tally.counts["equal to another of its series"] += 1
            continue
        if not equal:
            unmatched.append(volume)
            continue
        mine = min(equal, key=lambda mine: affine_error(mine.affine, volume.affine))
        left = [other for other in left if other is not mine]
        error = affine_error(mine.affine, volume.affine)
        if volume.b_value is not None:
            fault = weighting_error(mine, volume)
            tally.counts["gradients other" if fault else "gradients same"] += 1
            tally.lines += [f"GRADIENT {volume.name} / {mine.label}: {fault}"] if fault else []
        if error <= AFFINE_TOLERANCE:
            tally.counts["same"] += 1
        else:
            tally.counts["other affine"] += 1
            tally.lines.append(
                f"AFFINE {volume.name} / {mine.name} {mine.label}: {error:.3g}\n"
                f"{volume.affine.round(4)}\n{mine.affine.round(4)}"
            )
    for volume in unmatched:
        shape = None if volume.array is None else volume.array.shape
        near = [m for m in left if shape is not None and m.array.shape == shape]
        kind = "other values" if near else "refused" if refused else "missing"
        tally.counts[kind] += 1
        detail = ""
        if near:
            ratio = min(float(np.abs(m.array - volume.array).max()) for m in near)
            ranges = [f"{v.array.min():.4g} to {v.array.max():.4g}" for v in (volume, near[0])]
            detail = f"; nearest of {len(near)} differs by {ratio:.4g} (theirs {ranges[0]}, ours {ranges[1]})"
        name, shapes = volume.name.split("[")[0], [m.array.shape for m in left][:4]
        ledger = dict(refused.most_common(3))
        tally.lines.append(f"{kind.upper()} {name} {shape}{detail}; ours: {shapes}; ledger: {ledger}")
    if left:
        tally.counts["only ours"] += len(left)
        tally.lines += [f"ONLY OURS {series} {m.name} {m.array.shape} {m.label}" for m in left[:3]]


def against_simpleitk(source: Path, ours: dict[str, list[Volume]], tally: Tally) -> None:
    """Each single plane of a series that we use, as SimpleITK (GDCM) reads it, is in one of our volumes."""
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    files: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        try:
            header = pydicom.dcmread(
                path,
                stop_before_pixels=True,
                specific_tags=["SeriesInstanceUID", "ImagePositionPatient", "NumberOfFrames", "ImageType"],
            )
        except Exception:
            continue
        if (
            "ImagePositionPatient" in header
            and "NumberOfFrames" not in header
            and "MOSAIC" not in header.get("ImageType", [])
        ):
            files[str(header.get("SeriesInstanceUID", UNNAMED))].append(path)
    for series, paths in files.items():
        for path in paths if series in ours else []:
            reader = SimpleITK.ImageFileReader()
            reader.SetFileName(str(path))
            try:
                image = reader.Execute()
            except RuntimeError:
                tally.counts["planes SimpleITK cannot read"] += 1
                continue
            found = any(holds_plane(volume, image) for volume in ours[series])
            tally.counts["planes same" if found else "planes other"] += 1
            if not found:
                tally.lines.append(f"PLANE {path}")


def holds_plane(volume: Volume, image: Any) -> bool:
    """A plane's voxels lie on the volume's grid and have its values."""
    import SimpleITK

    plane = SimpleITK.GetArrayViewFromImage(image).astype(np.float64)
    if plane.ndim == 2:
        plane = plane[None]
    if plane.ndim != 3 or len(plane) != 1:
        return False
    origin, spacing = np.array(image.GetOrigin()), np.array(image.GetSpacing())
    direction = np.array(image.GetDirection()).reshape(3, 3)
    flip = np.diag([-1.0, -1.0, 1.0])
    rows, columns = plane.shape[1:]
    corners = np.array([[0, 0, 0], [columns - 1, 0, 0], [0, rows - 1, 0]], dtype=np.float64)
    places = (flip @ (origin[:, None] + direction @ (corners * spacing).T)).T
    inverse = np.linalg.inv(volume.affine)
    voxels = places @ inverse[:3, :3].T + inverse[:3, 3]
    if np.abs(voxels - voxels.round()).max() > 0.25:
        return False
    start, along_columns, along_rows = voxels.round().astype(int)
    steps = [(along_columns - start) / max(columns - 1, 1), (along_rows - start) / max(rows - 1, 1)]
    y, x = np.mgrid[:rows, :columns]
    index = (start[:, None, None] + steps[0][:, None, None] * x + steps[1][:, None, None] * y).round().astype(int)
    if (index < 0).any() or any((index[i] >= volume.array.shape[i]).any() for i in range(3)):
        return False
    mine = volume.array[index[0], index[1], index[2]]
    return bool(np.abs(mine - plane[0]).max() <= 4e-7 * max(float(np.abs(mine).max()), 1e-30) + 1e-9)


def main() -> None:
    """A row a folder, and what is not the same below."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", metavar="NAME=FOLDER")
    parser.add_argument("--dcm2niix", required=True)
    parser.add_argument("--simpleitk", action="store_true", help="also read each plane with SimpleITK")
    parser.add_argument("--work", type=Path, help="where both sides' files stay; thrown away by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        work = (arguments.work or Path(scratch)).absolute()
        for given in arguments.folders:
            name, _, folder = given.partition("=")
            tally = compare(name, Path(folder), work, arguments.dcm2niix, arguments.simpleitk)
            print(f"== {name}: {dict(tally.counts)}", flush=True)
            for line, count in Counter(tally.lines).items():
                print(f"  {count}×", line, flush=True)


if __name__ == "__main__":
    main()
