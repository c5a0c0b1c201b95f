"""Wavelength-conditioned towers: bands are known by their wavelengths and by nothing else."""

import pytest
import torch
from torch import nn

from voxtile.errors import ConfigError
from voxtile.models.image.wavelength import (
    C_BAND_NM,
    GsdCondition,
    WavelengthEmbedding,
    WavelengthTower,
    wavelength_code,
)

S2 = [443.0, 493.0, 560.0, 665.0, 704.0, 741.0, 783.0, 833.0, 865.0, 945.0, 1614.0, 2202.0]


def tower(**changes):
    torch.manual_seed(0)
    options = {"wavelengths_nm": S2, "widths": [16, 24], "blocks": [1, 1], "features": 16, "width": 32}
    return WavelengthTower(**{**options, **changes}).eval()


def kernels(embedding, wavelengths, polarisations=None):
    places = torch.tensor(polarisations or [0] * len(wavelengths))
    return embedding.weights(torch.tensor(wavelengths, dtype=torch.float64), places)


def test_the_order_of_bands_does_not_matter():
    model, images = tower(), torch.randn(3, 12, 32, 32)
    before = model(images).pooled
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    model.use_bands([S2[i] for i in order.tolist()])
    torch.testing.assert_close(model(images[:, order]).pooled, before, rtol=1e-4, atol=1e-5)


def test_what_a_channel_is_called_matters():
    model, images = tower(), torch.randn(3, 12, 32, 32)
    before = model(images).pooled
    model.use_bands(S2[::-1])
    assert (model(images).pooled - before).abs().max() > 1e-3


@pytest.mark.parametrize("bands", [[665.0, 560.0, 490.0], [C_BAND_NM] * 2, [400.0 + 10 * n for n in range(120)]])
def test_any_set_of_bands_is_taken(bands):
    model = tower()
    model.use_bands(bands, ["VV", "VH"] if len(bands) == 2 else [])
    encoded = model(torch.randn(2, len(bands), 24, 24), tokens=True)
    assert model.channels == len(bands)
    assert encoded.pooled.shape == (2, 32)
    assert encoded.tokens.shape == (2, 9, 32)
    assert torch.isfinite(encoded.pooled).all()


def test_the_embedding_is_a_convolution_with_the_generated_kernels():
    torch.manual_seed(0)
    embedding = WavelengthEmbedding(features=5, patch=4).eval()
    images = torch.randn(2, 3, 16, 16, dtype=torch.float64).float()
    weight, bias = kernels(embedding, S2[:3])
    patches = images.unfold(2, 4, 4).unfold(3, 4, 4)  # [S, C, Y, X, 4, 4]
    by_hand = torch.einsum("scyxij,dcij->sdyx", patches, weight) + bias[:, None, None]
    out = embedding(images, torch.tensor(S2[:3], dtype=torch.float64), torch.zeros(3, dtype=torch.int64))
    torch.testing.assert_close(out, by_hand, rtol=1e-4, atol=1e-5)


def test_polarisations_of_one_wavelength_are_told_apart():
    weight, _ = kernels(WavelengthEmbedding(features=8).eval(), [C_BAND_NM, C_BAND_NM], [1, 2])
    assert (weight[:, 0] - weight[:, 1]).abs().max() > 1e-2


def test_codes_of_near_wavelengths_are_alike_and_of_far_ones_are_not():
    code = wavelength_code(torch.tensor([833.0, 834.0, 865.0, 490.0, C_BAND_NM]), 64)
    assert code.abs().max() <= 1
    alike = nn.functional.cosine_similarity(code[:1], code[1:])
    assert alike[0] > 0.98 > alike[1] > alike[2]
    assert alike[3] < 0.7


def test_features_do_not_grow_with_the_number_of_bands():
    embedding, picture = WavelengthEmbedding(features=16).eval(), torch.ones(1, 1, 8, 8)
    few, many = [S2, [400.0 + 10 * n for n in range(200)]]
    sizes = [
        embedding(picture.expand(1, len(w), 8, 8), torch.tensor(w), torch.zeros(len(w), dtype=torch.int64)).std()
        for w in (few, many)
    ]
    assert 0.2 < sizes[0] / sizes[1] < 5


def test_ground_sampling_distance_starts_without_effect_and_can_be_learned():
    model = tower(gsd_channel=True)
    images = torch.randn(2, 13, 32, 32)
    near, far = images.clone(), images.clone()
    near[:, -1], far[:, -1] = 0.0, 3.0
    torch.testing.assert_close(model(near).pooled, model(far).pooled)
    nn.init.normal_(model.gsd.head[-1].weight)
    assert (model(near).pooled - model(far).pooled).abs().max() > 1e-3


def test_the_distance_is_learned_from_its_channel():
    torch.manual_seed(0)
    condition = GsdCondition(4)
    distance = torch.linspace(-3, 3, 64)
    x, target = torch.ones(64, 4, 1, 1), distance.sign()
    optimizer = torch.optim.Adam(condition.parameters(), 1e-2)
    for _ in range(150):
        loss = (condition(x, distance)[:, 0, 0, 0] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_bands_are_hidden_in_training_only_and_never_all():
    model, images = tower(band_dropout=0.9), torch.randn(4, 12, 16, 16)
    torch.testing.assert_close(model(images).pooled, model(images).pooled)
    torch.manual_seed(0)
    counts = {len(model._kept(12, images.device)) for _ in range(200)}
    assert min(counts) >= 1
    assert len(counts) > 3
    model.train()
    assert (model.stem_features(images) - model.stem_features(images)).abs().max() > 1e-3


def test_every_parameter_learns():
    model = tower(gsd_channel=True).train()
    model(torch.randn(4, 13, 16, 16)).pooled.square().sum().backward()
    without = [n for n, p in model.named_parameters() if p.grad is None and not n.startswith("token_head")]
    assert without == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"wavelengths_nm": []}, "needs a wavelength"),
        ({"wavelengths_nm": [0.49]}, "0.49 is not within"),
        ({"polarisations": ["VV"]}, "as many polarisations"),
        ({"wavelengths_nm": [C_BAND_NM], "polarisations": ["RR"]}, "'RR' is none of"),
        ({"band_dropout": 1.0}, "band_dropout"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(ConfigError, match=message):
        tower(**change)


def test_a_tower_with_cells_keeps_its_channels():
    model = tower(cells=[2, 2])
    with pytest.raises(ConfigError, match="12 channels only"):
        model.use_bands(S2[:3])


def test_weights_travel_to_a_tower_of_other_bands():
    model = tower()
    other = tower(wavelengths_nm=S2[1:4])
    other.load_state_dict(model.state_dict())
    model.use_bands(S2[1:4])
    images = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(other(images).pooled, model(images).pooled)
