"""What a scanner adds to MR that says nothing about the patient: coils, echo-planar distortion, flowing CSF, ghosts.

All of it is drawn from a stream of its own and knows nothing of the findings. Sources: Bernstein, King and Zhou,
Handbook of MRI Pulse Sequences, sections 13.1 (coil combination), 16.1 (echo-planar artefacts: N/2 ghost, chemical
shift, susceptibility); Bakshi et al. 2000 (AJNR 21:503-508) for CSF flow on FLAIR.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from voxtile.phantom.noise import Volume, value_noise
from voxtile.phantom.shapes import Frame, Point, ellipsoid

# Where brain borders on air: over the orbits, at the temporal tips, over both petrous bones, at the clivus.
_INTERFACES = ((0, -56, -16), (38, -40, -24), (-38, -40, -24), (42, 20, -32), (-42, 20, -32), (0, 6, -46))
_NULLED_MS = 3000.0  # T1 of free fluid, which FLAIR nulls, lies above


@dataclass(frozen=True)
class Scanner:
    """One examination's equipment and its flaws.

    Attributes:
        field_strength: T.
        t1_factor, t2_factor: relaxation against 1.5 T.
        falloff: how much brighter the surface of the head is than its middle, as the coils leave it.
        shading: standard deviation of the logarithm of what remains at the nodes of a coarse lattice.
        noise: standard deviation of the complex noise, as a share of the brightest per cent.
        piles: (centre in body mm, radii in mm, logarithm of the gain) where echo-planar signal piles up or is lost.
        inflow: share of CSF that inversion misses where it flows fastest.
        fat_shift: voxels along the rows' direction by which echo-planar fat is displaced.
        ghost: height of the N/2 ghost of echo-planar imaging against the picture.
        uptake: contrast uptake against the usual: dose and delay.
        averaging: noise of the scans that ADC is computed from, against `noise`.
        gradients: b-value that is played out, against the one that is stated.
    """

    field_strength: float
    t1_factor: float
    t2_factor: float
    falloff: float
    shading: float
    noise: float
    piles: tuple[tuple[Point, Point, float], ...] = field(default_factory=tuple)
    inflow: float = 0.0
    fat_shift: float = 0.0
    ghost: float = 0.0
    uptake: float = 1.0
    averaging: float = 0.3
    gradients: float = 1.0


def draw_scanner(rng: np.random.Generator) -> Scanner:
    """Draw the equipment of one examination."""
    strength = float(rng.choice((1.5, 3.0)))
    corrected = rng.random() < 0.6  # by a prescan of the coils' sensitivity
    worst = rng.uniform(0.2, 1.1)  # of the shim
    piles = []
    for place in _INTERFACES:
        gain = float(rng.normal(0.25, 0.5) * worst * (1.0 if strength > 2 else 0.7))
        piles.append((np.array(place) + rng.normal(0, 4, 3), rng.uniform(8, 17, 3), gain))
    return Scanner(
        field_strength=strength,
        t1_factor=float((1.22 if strength > 2 else 1.0) * np.exp(rng.normal(0, 0.04))),
        t2_factor=float((0.9 if strength > 2 else 1.0) * np.exp(rng.normal(0, 0.06))),
        falloff=float(rng.uniform(0, 0.15) if corrected else rng.uniform(0.2, 0.9)),
        shading=float(rng.uniform(0.06, 0.2)),
        noise=float(rng.uniform(0.015, 0.055)),
        piles=tuple(piles),
        inflow=float(rng.uniform(0.05, 0.5) if rng.random() < 0.7 else 0.0),
        fat_shift=float(rng.choice((-1, 1)) * rng.uniform(1.5, 4.0) * (1.4 if strength > 2 else 1.0)),
        ghost=float(rng.uniform(0.0, 0.05)),
        uptake=float(rng.uniform(0.65, 1.2)),
        averaging=float(rng.uniform(0.2, 0.45)),
        gradients=float(rng.normal(1.0, 0.04)),
    )


def echo_planar_gain(frame: Frame, scanner: Scanner) -> Volume:
    """[Z, Y, X] factor on echo-planar signal; that of b 0 and b 1000 is the same, so that ADC does not know of it."""
    log_gain = np.zeros(frame.shape, np.float32)
    for centre, radii, gain in scanner.piles:
        spot = ellipsoid(frame, centre, radii, soft=10.0)
        log_gain[spot.box] += spot.weight * np.float32(gain)
    return np.exp(log_gain, out=log_gain)


def csf_inflow(maps: Volume, scanner: Scanner, rng: np.random.Generator) -> Volume:
    """[Z, Y, X] share of magnetisation that was not inverted, 0 outside free fluid."""
    flow = value_noise(rng, maps.shape[1:], (5, 5, 4))
    np.clip(flow, 0, 1, out=flow)
    flow *= np.float32(scanner.inflow)
    flow *= maps[1] / np.float32(scanner.t1_factor) > _NULLED_MS
    return flow


def coil_gain(
    scanner: Scanner, places: list[Volume], shape: tuple[int, int, int], rng: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Receive sensitivity over a scan: rising from the middle of the head, and smooth shading that is left over.

    Args:
        scanner: equipment.
        places: index of every voxel of the scan on the painted grid: z, y, x, each [slices, rows, columns].
        shape: (Z, Y, X) of the painted grid.
        rng: source of randomness.
    """
    middles = [np.float32((n - 1) / 2) for n in shape]
    radius = sum(((p - m) / (np.float32(0.9) * m)) ** 2 for p, m in zip(places, middles, strict=True))
    smooth = value_noise(rng, places[0].shape, (2, 2, 2)) * np.float32(scanner.shading)
    return np.asarray((1 + np.float32(scanner.falloff) * np.minimum(radius, 1.5)) * np.exp(smooth), np.float32)


def add_ghosts(values: Volume, role: str, scanner: Scanner, rng: np.random.Generator) -> Volume:
    """Faint copies displaced along a slice's columns: by half its height in echo-planar scans, else by motion."""
    rows = values.shape[1]
    if role == "dwi":
        return values + np.float32(scanner.ghost) * np.roll(values, rows // 2, axis=1)
    if rng.random() < 0.25:
        step, height = int(rng.integers(4, rows // 3)), np.float32(rng.uniform(0.01, 0.07))
        return values + height * (np.roll(values, step, axis=1) + np.roll(values, -step, axis=1))
    return values
