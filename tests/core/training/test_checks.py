"""A checkpoint of another model, preset or optimizer is refused by what differs, and one that fits is taken."""

import pytest
import torch

from voxtile.errors import CheckpointError
from voxtile.training.checks import check_groups, check_preset, check_rates, check_weights, group_sizes
from voxtile.training.optimisers import AdamW, OneCycle, learning_rates

OWN = {"a.weight": torch.zeros(2, 3), "a.bias": torch.zeros(2), "scale": torch.zeros(())}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"a.weight": torch.zeros(4, 3)}, r"'a\.weight' is \(4, 3\) there and \(2, 3\) here"),
        ({"a.bias": None}, r"it has no 'a\.bias'"),
        ({"b.bias": torch.zeros(2)}, r"its 'b\.bias' has no place in this model"),
    ],
)
def test_the_first_weight_that_differs_is_named(change, said):
    check_weights(OWN, {name: value + 1 for name, value in OWN.items()})
    stored = {name: value for name, value in (OWN | change).items() if value is not None}
    with pytest.raises(CheckpointError, match=said + "; go on with the config of its run"):
        check_weights(OWN, stored)


def test_only_the_settings_of_a_preset_that_differ_are_named():
    own = {"class_path": "a.Preset", "init_args": {"size": (8, 8), "mean": (0.5,), "flip": 0.5}}
    check_preset(own, {**own})
    other = {"class_path": "a.Preset", "init_args": {"size": (9, 8), "mean": (0.5,)}}
    with pytest.raises(
        CheckpointError, match=r"preset: size \(9, 8\) there and \(8, 8\) here, flip None there and 0.5"
    ):
        check_preset(own, other)
    with pytest.raises(CheckpointError, match=r"preset: b\.Preset there, a\.Preset here; use the same"):
        check_preset(own, {**own, "class_path": "b.Preset"})


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"lr": 0.5}, "learning rate 0.001 where model.optimizer asks for 0.5 now"),
        ({"weight_decay": 0.3}, "weight_decay 0.05 where model.optimizer asks for 0.3"),
        ({"betas": (0.9, 0.999)}, r"betas \(0.9, 0.98\)"),
        ({"eps": 1e-8}, "eps 1e-06"),
    ],
)
def test_other_settings_of_the_optimizer_than_the_checkpoints_are_refused(setting, said):
    named = {"weight": torch.nn.Parameter(torch.zeros(2, 2))}
    optimizer = AdamW().build(named.items())
    learning_rates(optimizer, OneCycle(), 9, 9)
    stored = optimizer.state_dict()["param_groups"]
    check_rates(AdamW().build(named.items()).param_groups, stored)
    with pytest.raises(CheckpointError, match=said):
        check_rates(AdamW(**setting).build(named.items()).param_groups, stored)


def test_an_optimizer_of_other_weights_or_groups_is_refused():
    weights = [torch.nn.Parameter(torch.zeros(2)) for _ in range(3)]
    stored = group_sizes(torch.optim.AdamW([{"params": weights[:2]}, {"params": weights[2:]}]).state_dict())
    check_groups(torch.optim.AdamW([{"params": weights[1:]}, {"params": weights[:1]}]), stored)
    for groups in ([weights], [weights[:1], weights[1:]], [weights[:2], weights[2:], []]):
        optimizer = torch.optim.AdamW([{"params": group} for group in groups])
        with pytest.raises(CheckpointError, match="learned other weights, or in other groups"):
            check_groups(optimizer, stored)
