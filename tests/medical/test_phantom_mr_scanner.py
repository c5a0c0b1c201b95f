"""What an MR scanner adds: nothing of it tells of findings, and each flaw is where physics puts it."""

from dataclasses import replace

import numpy as np
import pytest

from voxtile.phantom.noise import stream
from voxtile.phantom.shapes import Frame
from voxtile_medical.phantom.mr.scanner import (
    add_ghosts,
    coil_gain,
    csf_inflow,
    draw_scanner,
    echo_planar_gain,
)
from voxtile_medical.phantom.mr.scene import SHAPE, SPACING_MM
from voxtile_medical.phantom.mr.study import ScanGrid, _acquire
from voxtile_medical.phantom.mr.tissue import CSF, FAT, INFARCT, WHITE, Sequence

ADC = Sequence("adc", 5000, 85, b_value=1000)


@pytest.fixture(scope="module")
def frame():
    centre = (np.array(SHAPE[::-1]) - 1) / 2
    return Frame.of(SHAPE, np.eye(3) / SPACING_MM, centre, np.zeros((3, *SHAPE), np.float32))


@pytest.fixture
def scanner():
    return draw_scanner(stream(5, 0))


def whole(tissue):
    return np.ascontiguousarray(np.broadcast_to(tissue[:, None, None, None], (6, *SHAPE)))


def grid():
    """The painted grid itself."""
    return ScanGrid(SHAPE, np.eye(3), np.full(3, SPACING_MM), np.zeros(3), "axial")


@pytest.mark.cases(1)
@pytest.mark.parametrize("tissue", [WHITE, INFARCT, CSF])
def test_adc_is_the_tissues_diffusion_whatever_the_susceptibility(tissue, frame, scanner):
    """Closed form: ln(S₀ / S) / b, times how much of b was played out; gains of both scans cancel."""
    quiet = replace(scanner, noise=1e-6, gradients=1.03)
    assert np.ptp(echo_planar_gain(frame, quiet)) > 0.05
    values = _acquire(ADC, whole(tissue), frame, quiet, grid(), np.zeros(3), stream(5, 1))
    assert values == pytest.approx(1030 * float(tissue[3]), abs=1.5)


def test_fat_that_is_left_lowers_adc_where_it_is_displaced_to(frame, scanner):
    maps = whole(WHITE)
    maps[:, :, :20] = FAT[:, None, None, None]
    quiet = replace(scanner, noise=1e-6, gradients=1.0, piles=(), fat_shift=4.0)
    values = _acquire(replace(ADC, fat_left=0.5), maps, frame, quiet, grid(), np.zeros(3), stream(5, 1))
    assert np.median(values[:, 30:]) == pytest.approx(1000 * WHITE[3], abs=1.5)
    shifted = Sequence("dwi", 5000, 85, b_value=1000, fat_left=0.5)
    assert shifted.water_and_fat(maps)[1][:, 20:].max() == 0
    moved = _acquire(replace(ADC, fat_left=0.5), maps, frame, replace(quiet, fat_shift=-4.0), grid(), np.zeros(3),
                     stream(5, 1))  # fmt: skip
    edge = slice(20, 23)
    assert min(np.median(values[:, edge]), np.median(moved[:, edge])) < 0.8 * 1000 * WHITE[3]


def test_fluid_that_flows_escapes_inversion_and_tissue_does_not(scanner):
    flair = Sequence("flair", 9000, 100, 2450)
    fast = replace(scanner, inflow=0.5, t1_factor=1.0)
    flow = csf_inflow(whole(CSF), fast, stream(5, 2))
    assert 0.1 < flow.max() <= 0.5
    assert csf_inflow(whole(WHITE), fast, stream(5, 2)).max() == 0
    bright = flair.signal(whole(CSF), flow)
    assert np.corrcoef(bright.ravel(), flow.ravel())[0, 1] > 0.999
    assert bright.max() > 2 * flair.signal(whole(CSF)).max()


def test_coils_favour_the_surface_and_the_ghost_lies_half_a_field_away(scanner):
    places = list(np.indices(SHAPE, dtype=np.float32))
    gain = coil_gain(replace(scanner, shading=0.0, falloff=0.8), places, SHAPE, stream(5, 3))
    middle = tuple(n // 2 for n in SHAPE)
    assert gain[middle] == pytest.approx(1, abs=0.01)
    assert gain[middle[0], middle[1], -3] > 1.5
    point = np.zeros((4, 20, 20), np.float32)
    point[2, 3, 7] = 1
    ghosted = add_ghosts(point, "dwi", replace(scanner, ghost=0.05), stream(5, 4))
    assert ghosted[2, 13, 7] == pytest.approx(0.05)
    assert ghosted.sum() == pytest.approx(1.05)


def test_examinations_differ_in_every_way():
    drawn = [draw_scanner(stream(6, n)) for n in range(300)]
    assert {s.field_strength for s in drawn} == {1.5, 3.0}
    strong = np.mean([s.t1_factor for s in drawn if s.field_strength > 2])
    assert strong / np.mean([s.t1_factor for s in drawn if s.field_strength < 2]) == pytest.approx(1.22, abs=0.03)
    assert 0.25 < np.mean([s.falloff > 0.2 for s in drawn]) < 0.55
    assert 0.15 < np.mean([s.inflow == 0 for s in drawn]) < 0.45
    piles = np.array([[gain for _, _, gain in s.piles] for s in drawn])
    assert (piles > 0).mean() > 0.55
    assert (piles < -0.1).mean() > 0.1
