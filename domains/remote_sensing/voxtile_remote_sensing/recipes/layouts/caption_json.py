"""Layout: one JSON with the captions of all pictures, in the three forms that caption datasets use.

Karpathy's form, `{"images": [{"filename", "split", "sentences": [{"raw"}]}]}`; NWPU-Captions' form,
`{"airport": [{"filename", "split", "raw", "raw_1", …}]}`; and a list of `{"image", "caption": [...]}`, one file a
split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import spelling_key
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.recipes.dataset import SPLITS, Pixels
from voxtile_remote_sensing.recipes.layouts.classes import concept_of
from voxtile_remote_sensing.recipes.layouts.pixels import picture_pixels
from voxtile_remote_sensing.recipes.layouts.reading import find_files, first_existing, read_json, read_lines

_RAW = re.compile(r"raw(_\d+)?")
_SUFFIXES = (".jpg", ".jpeg", ".png", ".tif", ".tiff")


@dataclass(frozen=True)
class CaptionJson:
    """Pictures with several captions each.

    Attributes:
        tables: names of the JSON; all that exist are read, in this order.
        folders: folders of the pictures, the first that exists; pictures are found by name below it.
        class_lists: folder of text files, one a class, that list its pictures (RSICD).
        classes: names in the picture's name or the JSON → concept, where the dataset has classes.
        vocabulary: name of the labels.
    """

    tables: tuple[str, ...]
    folders: tuple[str, ...]
    class_lists: str = ""
    classes: Mapping[str, str] = field(default_factory=dict)
    vocabulary: str = ""

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures in the order of the tables.

        Raises:
            InputError: no table, or one in a form that is not known.
        """
        first_existing(root, self.tables, "captions")
        folder = next((name for name in self.folders if (root / name).is_dir()), ".")
        pictures = find_files(root, folder, _SUFFIXES)
        listed = self._class_lists(root)
        for table in self.tables:
            if not (root / table).is_file():
                continue
            for name, split, texts, label in caption_records(read_json(root / table), table):
                file = PurePosixPath(name).name
                concept = self._concept(label or listed.get(file), file)
                labels = {self.vocabulary: (concept,)} if concept else {}
                path = pictures.get(file, f"{folder}/{name}")
                yield Entry(f"{split or 'all'}/{file}", (path,), split, labels, tuple(texts))

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return picture_pixels((root / entry.files[0]).read_bytes())

    def _class_lists(self, root: Path) -> dict[str, str]:
        folder = root / self.class_lists
        if not self.class_lists or not folder.is_dir():
            return {}
        return {name: path.stem for path in sorted(folder.glob("*.txt")) for name in read_lines(path)}

    def _concept(self, label: str | None, file: str) -> str | None:
        if label:
            return concept_of(self.classes, label, f"'{file}'") if self.classes else None
        known = {spelling_key(name): concept for name, concept in self.classes.items()}
        return known.get(spelling_key(re.sub(r"[_-]?\d+\.\w+$", "", file)))


def caption_records(content: Any, table: str) -> Iterator[tuple[str, str | None, list[str], str | None]]:  # noqa: ANN401
    """Name, split, captions and class of each picture, from any of the three forms.

    Args:
        content: the parsed JSON.
        table: its name, for messages and as a hint to the split.

    Raises:
        InputError: the form is not known.
    """
    by_name = next((SPLITS[w] for w in re.split(r"[^a-z]+", table.casefold()) if w in SPLITS), None)
    try:
        if isinstance(content, dict) and isinstance(content.get("images"), list):
            for image in content["images"]:
                texts = [str(sentence["raw"]) for sentence in image["sentences"]]
                yield image["filename"], SPLITS[image["split"].casefold()], texts, image.get("class")
        elif isinstance(content, dict):
            for label, images in content.items():
                for image in images:
                    texts = [str(value) for key, value in image.items() if _RAW.fullmatch(key)]
                    yield f"{label}/{image['filename']}", SPLITS[image["split"].casefold()], texts, label
        elif isinstance(content, list):
            for image in content:
                captions = image["caption"] if isinstance(image["caption"], list) else [image["caption"]]
                part = PurePosixPath(image["image"]).parts[0]
                yield image["image"], SPLITS.get(part, by_name), [str(c) for c in captions], image.get("label_name")
        else:
            raise InputError(f"'{table}' holds neither a list nor a mapping of pictures; download it again")
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"'{table}' is no table of captions in a known form ({error!r}); download it again") from error
