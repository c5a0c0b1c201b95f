"""Amounts against NumPy's histogram, and as features of a tower."""

import numpy as np
import torch

from voxtile.models.image.wavelet import WaveletTower, amounts


def test_amounts_are_roots_of_numpys_histogram():
    images = torch.randn(3, 2, 7, 9, 5) * 0.8
    found = amounts(images, 16)
    assert found.shape == (3, 32)
    for image, row in zip(images.numpy(), found.view(3, 2, 16).numpy(), strict=True):
        for channel, roots in zip(image, row, strict=True):
            counts, _ = np.histogram(np.clip(channel, -1, 1), 16, (-1, 1))
            np.testing.assert_allclose(roots**2, counts / channel.size, atol=1e-6)


def test_a_tower_with_bins_is_given_them():
    torch.manual_seed(0)
    tower = WaveletTower(dimensions=2, channels=2, widths=(4,), blocks=(0,), bins=8).eval()
    given = []
    tower.pooled_norm.register_forward_hook(lambda _, inputs, __: given.append(inputs[0]))
    images = torch.rand(3, 2, 16, 16)
    with torch.no_grad():
        tower(images)
    assert given[0].shape == (3, 2 * 4 + 2 * 8)
    torch.testing.assert_close(given[0][:, :16], amounts(images, 8))
