"""Small text towers for training from scratch.

Shape letters: T texts, L tokens, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voxtile.errors import ConfigError
from voxtile.models.tokenizer import Beyond, SubwordTokenizer
from voxtile.models.tower import TextTower, masked_max, masked_mean
from voxtile.types import Encoded


class TextTransformer(TextTower):
    """A pre-norm transformer over subwords, pooled by mean and maximum.

    Args:
        vocabulary: size of the embedding table and of the tokenizer's vocabulary.
        context: longest token sequence.
        beyond: `cut` longer texts at the context and count them in the log, or `refuse` them.
        width: features of a token and of the pooled vector.
        depth: layers.
        heads: attention heads.
        dropout: in attention and feed-forward layers.

    Raises:
        ConfigError: a size below 1, or a width that is no multiple of the heads.

    Examples:
        >>> from voxtile.models import TextTransformer
        >>> tower = TextTransformer(width=32, depth=1)
        >>> tower.tokenizer.train(["a nodule of the lung", "no nodule"])
        >>> tokens, cut = tower.tokenizer.encode(["a nodule", "no nodule of the lung"])
        >>> encoded = tower(tokens)
        >>> encoded.pooled.shape, encoded.mask.sum(1)  # words with the marks of start and end
        (torch.Size([2, 32]), tensor([ 5, 16]))
    """

    def __init__(
        self,
        *,
        vocabulary: int = 2048,
        context: int = 64,
        beyond: Beyond = "cut",
        width: int = 128,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(width, depth, heads) < 1 or width % heads:
            raise ConfigError(
                f"a TextTransformer of width {width}, depth {depth} and {heads} heads cannot be made; take a width "
                "that is a multiple of heads, and at least 1 of each"
            )
        self.width = width
        self.tokenizer = SubwordTokenizer(vocabulary=vocabulary, context=context, beyond=beyond)
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.position = nn.Parameter(torch.randn(context, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(2 * width, width)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Encoded:
        """Encode [T, L] tokens to `pooled` [T, D] and `tokens` [T, L, D] with their mask."""
        mask = tokens != 0
        x = self.embedding(tokens) + self.position[: tokens.shape[1]]
        x = self.norm(self.layers(x, src_key_padding_mask=~mask))
        pooled = self.head(torch.cat([masked_mean(x, mask), masked_max(x, mask)], 1))
        return Encoded(pooled, x, None, mask)


class TextBag(TextTower):
    """A convolution over three neighbouring subwords, pooled by mean and maximum: for short captions, and fast.

    Args:
        vocabulary: size of the embedding table and of the tokenizer's vocabulary.
        context: longest token sequence.
        beyond: `cut` longer texts at the context and count them in the log, or `refuse` them.
        width: features of a token and of the pooled vector.
        dropout: before the pooled projection.
        hidden: features of a layer between pooling and the vector; 0 for none. A sum over words cannot say that "no"
            turns what follows into its opposite; with a hidden layer a denial can lie opposite its finding.

    Examples:
        >>> from voxtile.models import TextBag
        >>> tower = TextBag(width=32)
        >>> tower.tokenizer.train(["a nodule of the lung", "no nodule"])
        >>> tower(tower.tokenizer.encode(["a nodule", "no nodule"])[0]).pooled.shape
        torch.Size([2, 32])
    """

    reads_word_order = False

    def __init__(
        self,
        *,
        vocabulary: int = 2048,
        context: int = 64,
        beyond: Beyond = "cut",
        width: int = 128,
        dropout: float = 0.0,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        self.width = width
        self.tokenizer = SubwordTokenizer(vocabulary=vocabulary, context=context, beyond=beyond)
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.conv = nn.Conv1d(width, width, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        layers = [nn.Linear(2 * width, hidden), nn.GELU()] if hidden else []
        self.head = nn.Sequential(nn.LayerNorm(2 * width), *layers, nn.Linear(hidden or 2 * width, width))
        nn.init.normal_(self.embedding.weight, std=0.2)

    def forward(self, tokens: Tensor) -> Encoded:
        """Encode [T, L] tokens to `pooled` [T, D] and `tokens` [T, L, D] with their mask."""
        mask = tokens != 0
        x = self.embedding(tokens) * mask.unsqueeze(-1)
        x = x + torch.relu(self.conv(x.transpose(1, 2)).transpose(1, 2))
        pooled = torch.cat([masked_mean(x, mask), masked_max(x, mask)], 1)
        return Encoded(self.head(self.dropout(pooled)), x, None, mask)
