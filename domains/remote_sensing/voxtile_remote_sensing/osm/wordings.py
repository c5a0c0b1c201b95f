"""The sentence patterns of the captions, from YAML with a name and a version.

Fields: `image` and `an_image` (what the picture is), `name`, `names`, `a_name` (of a concept), `np` (a noun phrase for
all of it: "a forest", "residential areas", "farmland"), `mass` (the same without article), `covers` and `is` (the
verb as the subject has it), `number`, `list`, `size`, `share`, `place`, `direction`, `subject`, `other`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from voxtile.bounded_text import read_yaml
from voxtile.errors import ConfigError

DEFAULT_WORDINGS = Path(__file__).parents[1] / "wordings" / "osm.yaml"
AERIAL_GSD_M = 5.0  # pictures in colour with coarser pixels are no aerial photographs
_FIELD = re.compile(r"\{([^{}]*)\}")
FIELDS: Mapping[str, frozenset[str]] = {
    "lead": frozenset({"image", "an_image", "list", "is"}),
    "count_one": frozenset({"image", "name", "a_name"}),
    "count_many": frozenset({"image", "number", "names"}),
    "place": frozenset({"image", "name", "a_name", "place"}),
    "cover": frozenset({"image", "np", "covers", "share"}),
    "cover_land": frozenset({"image", "np", "mass", "covers", "share"}),
    "area": frozenset({"image", "name", "a_name", "size"}),
    "length": frozenset({"image", "names", "size"}),
    "in_one": frozenset({"subject", "other"}),
    "in_many": frozenset({"subject", "other"}),
    "beside": frozenset({"subject", "other"}),
    "compass": frozenset({"subject", "other", "direction"}),
    "crossing": frozenset({"subject", "other"}),
    "absent": frozenset({"image", "name", "names"}),
    "absent_mass": frozenset({"image", "name"}),
}


@dataclass(frozen=True)
class Wordings:
    """Patterns by kind of sentence.

    Attributes:
        name, version: its identity, as `name@version`.
        sha256: of the file.
        images: modality (or `default`) → what the picture is called.
        patterns: kind → patterns.
    """

    name: str
    version: str
    sha256: str
    images: Mapping[str, tuple[str, ...]]
    patterns: Mapping[str, tuple[str, ...]]

    @property
    def identity(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"

    def images_of(self, modality: str | None, gsd_m: float = 0.0) -> tuple[str, ...]:
        """What a picture of a modality is called; one in colour with coarse pixels was taken by no aeroplane."""
        known = "default" if modality == "RGB" and gsd_m > AERIAL_GSD_M else modality or ""
        return self.images.get(known, self.images["default"])


def load_wordings(path: Path = DEFAULT_WORDINGS) -> Wordings:
    """Read the patterns.

    Raises:
        ConfigError: the file is missing or malformed; the sentence names the place.
    """
    data, content = read_yaml(path, "the wordings")
    needed = {"wording", "version", "images", *FIELDS}
    if not isinstance(content, dict) or content.keys() != needed:
        raise ConfigError(f"the wordings '{path}' must be a mapping with the keys {', '.join(sorted(needed))}")
    if not isinstance(content["images"], dict) or "default" not in content["images"]:
        raise ConfigError(f"the wordings '{path}' need images for 'default'")
    lists = {**{f"images, {key}": texts for key, texts in content["images"].items()}, **{k: content[k] for k in FIELDS}}
    for place, texts in lists.items():
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            raise ConfigError(f"the wordings '{path}', {place}: there must be a list of texts")
    for kind, fields in FIELDS.items():
        for pattern in content[kind]:
            if set(_FIELD.findall(pattern)) - fields:
                raise ConfigError(f"the wordings '{path}', {kind}: '{pattern}' has a field that it cannot have")
    return Wordings(
        name=str(content["wording"]),
        version=str(content["version"]),
        sha256=hashlib.sha256(data).hexdigest(),
        images={key: tuple(texts) for key, texts in content["images"].items()},
        patterns={kind: tuple(content[kind]) for kind in FIELDS},
    )
