"""From a seed to one MR study: the head, and each sequence sampled on a grid of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.ndimage import map_coordinates

from voxtile.phantom.noise import Volume, stream, value_noise
from voxtile.phantom.shapes import Frame, rotation
from voxtile_medical.phantom.ct.findings import draw_findings
from voxtile_medical.phantom.ct.scene import SIDES, Finding
from voxtile_medical.phantom.mr.brain import paint_head
from voxtile_medical.phantom.mr.findings import FINDINGS
from voxtile_medical.phantom.mr.lesions import paint_lesions
from voxtile_medical.phantom.mr.scanner import (
    Scanner,
    add_ghosts,
    coil_gain,
    csf_inflow,
    draw_scanner,
    echo_planar_gain,
)
from voxtile_medical.phantom.mr.scene import SHAPE, SPACING_MM, HeadScene, draw_head, place_head
from voxtile_medical.phantom.mr.tissue import Sequence, draw_protocol

FINDINGS_STREAM, HEAD_STREAM, ANATOMY_STREAM, SCAN_STREAM, SCANNER_STREAM = 700, 701, 702, 703, 706
_PLANES = {"axial": (0, 1, 2), "sagittal": (1, 2, 0), "coronal": (0, 2, 1)}  # columns, rows, slices: patient axes


@dataclass(frozen=True)
class ScanGrid:
    """Where a series lies.

    Attributes:
        shape: (slices, rows, columns).
        axes: [3, 3] directions of columns, rows and slices in the patient (LPS), as columns.
        spacing: mm along columns, rows and slices.
        origin: [3] patient mm (LPS) of the first voxel.
        plane: axial, sagittal or coronal.
    """

    shape: tuple[int, int, int]
    axes: npt.NDArray[np.float64]
    spacing: npt.NDArray[np.float64]
    origin: npt.NDArray[np.float64]
    plane: str

    def positions(self) -> npt.NDArray[np.float64]:
        """[slices, 3] patient mm of the first voxel of every slice."""
        steps = np.arange(self.shape[0])[:, None] * self.spacing[2] * self.axes[:, 2]
        return np.asarray(self.origin + steps)


@dataclass(frozen=True)
class Scan:
    """One series: [slices, rows, columns] uint16 values on its grid."""

    sequence: Sequence
    grid: ScanGrid
    values: npt.NDArray[np.uint16]


@dataclass(frozen=True)
class MrStudy:
    """One study before it becomes DICOM.

    Attributes:
        number: place in the data set.
        present: finding by concept.
        findings: what is there; `centre` is in patient mm (LPS).
        mimics: benign things that look like findings, (name, side).
        scans: its series, in the order of `tissue.ROLES`, those that this study lacks left out.
        field_strength: T.
    """

    number: int
    present: dict[str, bool]
    findings: tuple[Finding, ...]
    mimics: tuple[tuple[str, str | None], ...]
    scans: tuple[Scan, ...]
    field_strength: float


def render_mr(seed: int, number: int) -> MrStudy:
    """Make study `number` of the data set `seed`."""
    present = draw_findings(stream(seed, number, FINDINGS_STREAM), FINDINGS)
    patient = stream(seed, number, HEAD_STREAM)
    shift_to = SIDES[int(patient.integers(2))]
    head = draw_head(patient, present, shift_to)
    rng = stream(seed, number, ANATOMY_STREAM)
    frame = place_head(head, rng)
    texture = value_noise(rng, SHAPE, (13, 16, 13))
    away = SIDES[1 - SIDES.index(shift_to)] if present["midline_shift"] else None
    scene = HeadScene(frame, head, rng, present, away, texture)
    paint_head(scene)
    paint_lesions(scene)
    scan_rng = stream(seed, number, SCAN_STREAM)
    origin = -SPACING_MM * (np.array(SHAPE[::-1]) - 1) / 2 + scan_rng.normal(0, 15, 3)
    scanner = draw_scanner(stream(seed, number, SCANNER_STREAM))
    scans = _scans(scene, scanner, origin, scan_rng)
    findings = tuple(
        replace(f, centre=np.round(origin + frame.index_of(f.centre) * SPACING_MM, 1)) for f in scene.findings
    )
    return MrStudy(number, present, findings, tuple(dict.fromkeys(scene.mimics)), scans, scanner.field_strength)


def _scans(
    scene: HeadScene, scanner: Scanner, origin: npt.NDArray[np.float64], rng: np.random.Generator
) -> tuple[Scan, ...]:
    """Every sequence of the protocol; one study in ten lacks one of T2, FLAIR and the pair of diffusion."""
    lacking = str(rng.choice(("", "t2", "flair", "dwi"), p=(0.9, 0.03, 0.03, 0.04)))
    tilt = float(rng.uniform(-18, 18)) if rng.random() < 0.6 else 0.0  # axial slices along the skull base
    factors = np.array([1, scanner.t1_factor, scanner.t2_factor, 1, scanner.uptake, 1], np.float32)
    maps = scene.maps * factors[:, None, None, None]
    found = []
    for sequence in draw_protocol(rng):
        grid = _grid(sequence, tilt + float(rng.normal(0, 1.5)), origin, rng)
        values = _acquire(sequence, maps, scene.frame, scanner, grid, origin, rng)
        if sequence.role != lacking and not (lacking == "dwi" and sequence.role == "adc"):
            found.append(Scan(sequence, grid, values))
    return tuple(found)


def _grid(sequence: Sequence, tilt: float, origin: npt.NDArray[np.float64], rng: np.random.Generator) -> ScanGrid:
    plane = "axial"
    if sequence.role in ("t1", "t2") and rng.random() < 0.25:
        plane = "sagittal" if sequence.role == "t1" else "coronal"
    # A few sizes only, as protocols have: headers are then encoded once for all studies that share them.
    in_plane, thick = float(rng.choice((3.0, 3.3, 3.6))), float(rng.choice((4.5, 5.0, 6.0)))
    if sequence.b_value:
        in_plane = 4.0
    axes = rotation(0, tilt)[:, _PLANES[plane]]
    if plane == "sagittal":
        axes = axes * np.array([1, -1, 1])  # rows run down from the head
    if plane == "coronal":
        axes = axes * np.array([1, -1, 1])
    extent = np.array(SHAPE[::-1]) * SPACING_MM
    reach = np.array([176.0, 204.0, float(rng.choice((150, 158, 170)))])[list(_PLANES[plane])]
    spacing = np.round(np.array([in_plane, in_plane, thick]), 3)
    size = np.ceil(reach / spacing).astype(int)
    centre = origin + extent / 2 + np.array([0, 0, 2.0]) + rng.normal(0, (3, 3, 5))
    first = centre - axes @ ((size - 1) / 2 * spacing)
    return ScanGrid((int(size[2]), int(size[1]), int(size[0])), axes, spacing, np.round(first, 2), plane)


def _acquire(
    sequence: Sequence,
    maps: Volume,
    frame: Frame,
    scanner: Scanner,
    grid: ScanGrid,
    origin: npt.NDArray[np.float64],
    rng: np.random.Generator,
) -> npt.NDArray[np.uint16]:
    """Sample the signal on the grid, shade it, add ghosts and Rician noise, and store it on a scale of its own."""
    k, j, i = np.indices(grid.shape, dtype=np.float32)
    steps = (grid.axes * grid.spacing / SPACING_MM).astype(np.float32)
    start = ((grid.origin - origin) / SPACING_MM).astype(np.float32)
    places = [start[a] + steps[a, 0] * i + steps[a, 1] * j + steps[a, 2] * k for a in (2, 1, 0)]
    if sequence.role == "adc":
        return _stored(_apparent_diffusion(sequence, maps, frame, scanner, grid, places, rng))
    if sequence.role == "dwi":
        values = _echo_planar(sequence, maps, frame, scanner, grid, places)
    else:
        inflow = csf_inflow(maps, scanner, rng) if sequence.role == "flair" else None
        values = _sampled(sequence.signal(maps, inflow), places)
    values *= coil_gain(scanner, places, SHAPE, rng)
    values = add_ghosts(values, sequence.role, scanner, rng)
    level = np.float32(np.percentile(values, 99) * scanner.noise * rng.uniform(0.8, 1.25))
    values = np.hypot(
        values + level * rng.standard_normal(grid.shape, dtype=np.float32),
        level * rng.standard_normal(grid.shape, dtype=np.float32),
    )
    scale = rng.uniform(250, 2200) / float(np.percentile(values, 99))
    return _stored(values * scale)


def _echo_planar(
    sequence: Sequence, maps: Volume, frame: Frame, scanner: Scanner, grid: ScanGrid, places: list[Volume]
) -> Volume:
    """Signal of a diffusion-weighted scan: piled up and lost at air, its fat beside where it belongs."""
    water, fat = sequence.water_and_fat(maps)
    steps = scanner.fat_shift * grid.spacing[1] / SPACING_MM * grid.axes[:, 1]
    moved = [place + np.float32(steps[axis]) for axis, place in zip((2, 1, 0), places, strict=True)]
    values = _sampled(water * echo_planar_gain(frame, scanner), places)
    values += _sampled(fat, moved)
    return values


def _apparent_diffusion(
    sequence: Sequence,
    maps: Volume,
    frame: Frame,
    scanner: Scanner,
    grid: ScanGrid,
    places: list[Volume],
    rng: np.random.Generator,
) -> Volume:
    """What a scanner computes of two noisy scans: ln(S₀ / S) / b in 10⁻⁶ mm²/s, 0 where there is hardly any signal."""
    weighted = replace(sequence, role="dwi")
    with_b, without = (
        _echo_planar(each, maps, frame, scanner, grid, places) for each in (weighted, replace(weighted, b_value=0.0))
    )
    level = np.float32(np.percentile(without, 99) * scanner.noise * scanner.averaging)
    noisy = [
        np.hypot(
            values + level * rng.standard_normal(grid.shape, dtype=np.float32),
            level * rng.standard_normal(grid.shape, dtype=np.float32),
        )
        for values in (with_b, without)
    ]
    ratio = np.log(noisy[1] / np.maximum(noisy[0], 1e-6)) * np.float32(1e6 / sequence.b_value * scanner.gradients)
    return np.asarray(np.maximum(ratio, 0) * (noisy[1] > 6 * level), np.float32)


def _sampled(volume: Volume, places: list[Volume]) -> Volume:
    return np.asarray(map_coordinates(volume, places, order=1, mode="constant", cval=0.0, output=np.float32))


def _stored(values: Volume) -> npt.NDArray[np.uint16]:
    """Whole numbers of 12 bits."""
    return np.asarray(np.clip(np.rint(values), 0, 4095), np.uint16)
