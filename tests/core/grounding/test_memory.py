"""A map of a whole volume takes few bytes a voxel, and is the same in whichever parts it is made."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from voxtile.data.presets import resample as resampling
from voxtile.data.presets.resample import plan_axis, resample, resampled_by_slabs
from voxtile.data.presets.volume import VolumePreset
from voxtile.grounding.sliding_windows import Window, ground_sample

CLEAR = Path("/proc/self/clear_refs")  # Linux, proc(5): writing 5 sets the peak to what is held now


def held(name):
    """Bytes of this process: VmRSS now, VmHWM at most."""
    return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) << 10


class Zeros:
    """A volume that takes no memory itself."""

    def __init__(self, shape):
        self.meta = {"kind": "volume", "shape": list(shape), "axes": "ZYX", "spacing": [1.0, 1.0, 1.0], "units": "HU"}
        self._values = np.broadcast_to(np.int16(0), shape)

    def array(self, selection):
        return self._values[selection].copy()


@pytest.mark.skipif(not CLEAR.exists(), reason="Linux alone says how much memory was held at most")
@pytest.mark.parametrize("shape", [(128, 320, 320), pytest.param((300, 512, 512), marks=pytest.mark.sweep)])
@pytest.mark.parametrize("windows", [1, 2])
def test_a_map_of_a_large_volume_takes_ten_bytes_a_voxel(shape, windows):
    grid = (24, 32, 32)
    spacing = tuple(n / (g if windows == 1 else 0.7 * g) for n, g in zip(shape, grid, strict=True))
    preset = VolumePreset(shape=grid, spacing=spacing, windows=((-1.0, 1.0),))

    def bright(images):
        return (images[:, :1] > 0.2).float(), torch.ones(1, 1)

    CLEAR.write_text("5")
    before = held("VmRSS")
    maps, _ = ground_sample(bright, preset, Zeros(shape))
    assert maps.shape == (1, *shape)
    assert held("VmHWM") - before < 10 * np.prod(shape) + (200 << 20)


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 40), st.integers(1, 40), st.floats(0.2, 4.0) | st.just(1.0), st.floats(-9, 9) | st.integers(-9, 9)
)
def test_parts_of_a_volume_are_the_whole_to_the_last_bit(source, out, ratio, origin):
    values = torch.randn(source, 5, 6, generator=torch.Generator().manual_seed(source))
    plans = [plan_axis(source, out, ratio, float(origin)), plan_axis(5, 7, 0.7, 0.1), plan_axis(6, 4, 1.3, -0.5)]

    def read(part):
        return values[tuple(slice(plan.start, plan.stop) for plan in part)]

    whole = resample(read(plans), plans, 0.5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "_MOST_READ", 60)
        assert torch.equal(resampled_by_slabs(read, plans, 0.5), whole)
    window = Window(torch.zeros(1, source, 5, 6), (out, 7, 4), (1 / ratio, 1.0, 1.0), (-origin / ratio, 0.0, 0.0))
    answer = window.back(values[None])
    rows = window.rows
    assert torch.equal(window.back(values[None], range(rows.start, rows.stop)), answer[:, rows.start : rows.stop])
    assert not answer[:, : rows.start].any()
    assert not answer[:, rows.stop :].any()
    for row in rows:
        assert torch.equal(window.back(values[None], range(row, row + 1)), answer[:, row : row + 1])
