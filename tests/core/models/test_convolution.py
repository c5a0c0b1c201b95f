"""3D convolutions in low precision against float64, on grids down to one voxel."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from voxtile.models.convolution import Conv3d
from voxtile.models.image.wavelet import WaveletTower


def fill_freed_memory() -> None:
    """Leave NaN in the memory that the allocator gives out next."""
    for size in (1_000, 16_384, 65_536, 110_592, 442_368):
        torch.full((size,), torch.nan)


@pytest.mark.parametrize("grid", [(2, 3, 3), (2, 2, 2), (1, 1, 1), (1, 4, 4), (4, 1, 1), (5, 5, 5)])
@pytest.mark.parametrize("stride", [1, 2])
def test_gradient_in_bfloat16_is_that_of_float64(grid: tuple[int, int, int], stride: int) -> None:
    torch.manual_seed(0)
    conv = Conv3d(32, 32, 3, padding=1, stride=stride)
    images = torch.randn(4, 32, *grid).contiguous(memory_format=torch.channels_last_3d)
    for _ in range(3):
        conv.zero_grad()
        fill_freed_memory()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            out = conv(images)
        slopes = torch.randn(out.shape)
        (out.float() * slopes).sum().backward()
        exact = deepcopy(conv).double()
        exact.zero_grad()
        (exact(images.double()) * slopes).sum().backward()
        assert conv.weight.grad is not None
        assert exact.weight.grad is not None
        difference = conv.weight.grad - exact.weight.grad
        assert difference.norm() < 0.01 * exact.weight.grad.norm()


def test_weights_in_bfloat16_keep_their_type() -> None:
    out = Conv3d(4, 4, 3, padding=1).bfloat16()(torch.randn(1, 4, 2, 2, 2, dtype=torch.bfloat16))
    assert out.dtype == torch.bfloat16


def test_float64_is_the_plain_convolution() -> None:
    torch.manual_seed(0)
    conv, plain = Conv3d(3, 5, 3, padding=1).double(), nn.Conv3d(3, 5, 3, padding=1).double()
    plain.load_state_dict(conv.state_dict())
    images = torch.randn(2, 3, 2, 4, 1, dtype=torch.float64)
    assert torch.equal(conv(images), plain(images))


def test_a_tower_whose_last_stage_is_two_deep_learns_in_bfloat16() -> None:
    torch.manual_seed(0)
    tower = WaveletTower(channels=1, widths=[16, 32], blocks=[1, 1], width=16)
    optimizer = torch.optim.AdamW(tower.parameters(), 1e-3)
    images = torch.randn(4, 1, 16, 24, 24)  # 8 after the stem, then 4 and 2
    for _ in range(4):
        optimizer.zero_grad()
        fill_freed_memory()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = tower(images).pooled.square().mean()
        loss.backward()
        assert all(p.grad is None or torch.isfinite(p.grad).all() for p in tower.parameters())
        optimizer.step()
