"""The image tower of Merlin (Blankemeier et al. 2024, arXiv 2406.06512). Needs the extra `towers`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from voxtile.errors import ConfigError, required
from voxtile.models.hub.weights import LoadReport, load_report, read_weights
from voxtile.models.tower import ImageTower
from voxtile.types import Encoded

_PREFIX = "encode_image.i3_resnet."
# The head of phenotypes, the text side and the temperature.
_NOT_READ = r"classifier\..*|encode_text\..*|logit_scale"
_RESNET_152 = (3, 8, 36, 3)


class MerlinImage(ImageTower):
    """Merlin's image side: a ResNet-152 inflated to 3D, with its projection to the space of texts.

    Args:
        pretrained: a local file in its layout, or None for random weights.
        layers: blocks of each stage.

    Attributes:
        load_report: what became of each key of a file, or None.

    Raises:
        CheckpointError: the weights cannot be read or do not fit.
        MissingExtraError: MONAI is not installed.
    """

    dimensions = 3
    channels = 1
    width = 512

    def __init__(self, *, pretrained: str | None = None, layers: Sequence[int] = _RESNET_152) -> None:
        super().__init__()
        with required("monai", "towers"):
            from monai.networks.nets.resnet import ResNet, ResNetBottleneck
        first: dict[str, Any] = {"conv1_t_size": (3, 7, 7), "conv1_t_stride": (1, 2, 2)}  # typed as tuples of one
        self.trunk: Any = ResNet(
            ResNetBottleneck, list(layers), [64, 128, 256, 512], spatial_dims=3, n_input_channels=3,
            bias_downsample=False, feed_forward=False, **first,
        )  # fmt: skip
        self.contrastive_head = nn.Conv3d(2048, self.width, 1)
        self.load_report: LoadReport | None = None
        if pretrained:
            state = {own_key(key.removeprefix("module.")): value for key, value in read_weights(pretrained).items()}
            self.load_report = load_report(self, state, pretrained, ignored=_NOT_READ)

    def forward(self, images: Tensor, tokens: bool = False) -> Encoded:
        """Encode [S, 1, X, Y, Z] images, whose slices come last as its preset gives them.

        Raises:
            ConfigError: local features are asked for.
        """
        if tokens:
            raise ConfigError("Merlin's features are wider than its vector and not given; use MonaiTower for such")
        seen = self.trunk(images.permute(0, 1, 4, 2, 3).expand(-1, 3, -1, -1, -1))
        return Encoded(self.contrastive_head(seen[..., None, None, None]).flatten(1))


def own_key(key: str) -> str:
    """A key of the file as the tower has it."""
    key = key.removeprefix(_PREFIX)
    own = ("classifier.", "contrastive_head.", "encode_text.", "logit_scale")
    return key if key.startswith(own) else f"trunk.{key}"
