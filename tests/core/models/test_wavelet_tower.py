"""The Haar basis against its definition, and what the tower promises."""

import pytest
import torch

from voxtile.errors import ConfigError
from voxtile.models.image.wavelet import WaveletTower, haar_filters


@pytest.mark.parametrize("dimensions", [2, 3])
def test_the_basis_is_orthonormal_and_begins_with_the_mean(dimensions):
    basis = haar_filters(dimensions)
    flat = basis.flatten(1)
    torch.testing.assert_close(flat @ flat.T, torch.eye(2**dimensions))
    torch.testing.assert_close(flat[0], torch.full((2**dimensions,), 2 ** (-dimensions / 2)))


def test_each_channel_is_transformed_by_itself():
    tower = WaveletTower(dimensions=2, channels=2, widths=(8,), blocks=(0,))
    images = torch.randn(1, 2, 4, 4)
    out = tower.stem(images)
    expected = torch.einsum("fyx,cyx->cf", haar_filters(2), images[0, :, :2, :2]).flatten()
    torch.testing.assert_close(out[0, :, 0, 0], expected)


@pytest.mark.parametrize(("dimensions", "shape"), [(2, (32, 48)), (3, (16, 16, 32))])
def test_pooled_and_tokens_have_the_promised_shapes_and_the_stem_stays(dimensions, shape):
    tower = WaveletTower(dimensions=dimensions, channels=1, widths=(8, 16), blocks=(1, 1))
    out = tower(torch.randn(3, 1, *shape), tokens=True)
    grid = tuple(n // 8 for n in shape)
    assert out.pooled.shape == (3, tower.width)
    assert out.grid == grid
    assert out.tokens.shape == (3, torch.tensor(grid).prod(), tower.width)
    (out.pooled.square().sum() + out.tokens.sum()).backward()
    assert tower.stem.weight.grad is None
    assert all(p.grad is not None for p in tower.parameters() if p.requires_grad)


def test_a_shifted_picture_is_told_from_the_original():
    """Position enters: the same blob at two places gives two vectors."""
    torch.manual_seed(0)
    tower = WaveletTower(dimensions=2, channels=1, widths=(8, 16), blocks=(0, 0)).eval()
    a, b = torch.zeros(2, 1, 1, 64, 64)
    a[..., 16:20, 16:20] = 1
    b[..., 40:44, 40:44] = 1
    with torch.no_grad():
        assert (tower(a).pooled - tower(b).pooled).abs().max() > 1e-3


def test_mixed_channels_tell_what_no_channel_tells_alone():
    """Bright in both channels at one place, against bright in each at a place of its own: means are the same."""
    torch.manual_seed(0)
    together, apart = torch.zeros(2, 16, 2, 16, 16)
    for n in range(16):
        a, b = torch.randint(8, (2,)).tolist()
        together[n, :, 2 * a : 2 * a + 2, 0:2] = 1
        apart[n, 0, 2 * a : 2 * a + 2, 0:2] = apart[n, 1, 2 * b : 2 * b + 2, 8:10] = 1
    images, labels = torch.cat([together, apart]), torch.arange(2).repeat_interleave(16)
    tower = WaveletTower(dimensions=2, channels=2, widths=(4,), blocks=(0,), mix=8)
    assert tower.level_widths == (8, 4)
    assert tower.stem_features(images).shape == (32, 8, 8, 8)
    head = torch.nn.Linear(16, 2)
    optimizer = torch.optim.Adam([*tower.mix.parameters(), *head.parameters()], lr=0.05)
    for _ in range(60):
        features = tower.stem_features(images).flatten(2)
        pooled = torch.cat([features.mean(2), features.max(2).values], 1)
        loss = torch.nn.functional.cross_entropy(head(pooled), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    out = tower(images, tokens=True)
    assert out.pooled.shape == (32, tower.width)
    out.pooled.square().sum().backward()
    assert tower.mix[0].weight.grad.abs().sum() > 0
    assert tower.pooled_norm.num_features == 2 * (8 + 4)


def test_a_first_stage_without_stride_sees_the_stems_own_grid():
    images = torch.zeros(1, 1, 64, 64)
    images[..., 32:34, 32:34] = 1
    tower = WaveletTower(dimensions=2, channels=1, widths=(8, 16), blocks=(0, 0), strides=(1, 2)).eval()
    with torch.no_grad():
        levels, plain = (tower(of, tokens=True).levels for of in (images, torch.zeros_like(images)))
    assert [tuple(level.shape[2:]) for level in levels] == [(32, 32), (32, 32), (16, 16)]
    changed = (levels[1] - plain[1]).abs().sum(1)[0] > 1e-6
    places = torch.nonzero(changed)
    assert places.amin(0).tolist() == [15, 15]  # one patch of the stem, and as far as a kernel of three reaches
    assert places.amax(0).tolist() == [17, 17]


def test_details_may_count_less_than_means():
    images = torch.randn(4, 2, 8, 8, 8)
    full, quiet = (
        WaveletTower(channels=2, widths=(8,), blocks=(0,), rectify=False, details=weight).stem_features(images)
        for weight in (1.0, 0.25)
    )
    ratio = (quiet / full).unflatten(1, (2, 8)).mean((0, 3, 4, 5))
    torch.testing.assert_close(ratio, torch.tensor([1.0] + [0.25] * 7).expand(2, 8))


def test_lengths_that_do_not_match_are_refused():
    with pytest.raises(ConfigError, match="equally long"):
        WaveletTower(dimensions=2, widths=(8, 16), blocks=(1,))
    for strides in ((1,), (1, 0)):
        with pytest.raises(ConfigError, match="strides"):
            WaveletTower(dimensions=2, widths=(8, 16), blocks=(1, 1), strides=strides)
