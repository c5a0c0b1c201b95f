"""Several images in one prompt, each after its name: an examination after those before it.

Shape letters: R dialogues, L tokens of a dialogue, N images, K tokens of one, W width of the language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from voxtile.assist.connector import ImageTokens
from voxtile.assist.language import Language
from voxtile.assist.sequences import IMAGE
from voxtile.types import Encoded, Features, Turn


class ShownImages:
    """What the connector makes of the images that dialogues of a batch show; each is encoded once.

    Args:
        connector: to the language model.
        features: of the batch, with `others_encoded` where its dialogues show images beside the items' own.
    """

    def __init__(self, connector: ImageTokens, features: Features) -> None:
        self._connector, self._uids = connector, features.batch.uids
        self._tokens, self._seen = connector(features.image_encoded), [connector.condensed(features.image_encoded)]
        self._places: dict[tuple[int, str], int] = {}
        others, seen = features.batch.others, features.others_encoded
        if others is not None and seen is not None:
            count = len(self._tokens)
            self._tokens = torch.cat([self._tokens, connector(seen)])
            self._seen.append(connector.condensed(seen))
            shown = zip(others.item.tolist(), others.uids, strict=True)
            self._places = {key: count + place for place, key in enumerate(shown)}

    def of(self, item: int, turns: Sequence[Turn]) -> Tensor:
        """[N, K, W] tokens of the images of a dialogue, in its order."""
        at = [item if i.uid == self._uids[item] else self._places[item, i.uid] for i in turns[0].images]
        return self._connector.compared(self._tokens[at], self._encoded.at(torch.tensor(at)))

    @cached_property
    def _encoded(self) -> Encoded:
        """What the connector compares of all images: pooled vectors, and profiles where it reads these."""
        profiles = [seen.profiles for seen in self._seen if seen.profiles is not None]
        return Encoded(
            torch.cat([seen.pooled for seen in self._seen]), profiles=torch.cat(profiles) if profiles else None
        )


def embedded_with_images(language: Language, tokens: Tensor, images: Sequence[Tensor]) -> Tensor:
    """[R, L, W] embeddings of words, and what images make at their places.

    Args:
        language: the language model.
        tokens: [R, L] int64, `IMAGE` at the places of images.
        images: of each of R prompts, [N, K, W]; all of its N·K tokens have a place.
    """
    places = tokens == IMAGE
    words = language.embedded(tokens.clamp(min=0))
    shown = torch.cat([own.flatten(0, 1) for own in images]).to(words.dtype)
    order = (places.flatten().cumsum(0) - 1).clamp(min=0).view(places.shape)
    return torch.where(places[..., None], shown[order], words)
