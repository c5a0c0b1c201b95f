"""Layout: WebDataset tars whose member names are not the usual ones; members are read by offset, never extracted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.errors import InputError
from voxtile.stages.ingest.tar import Damage, Member, scan_tar
from voxtile_datasets.recipes.download import some_of, tell
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.recipes.dataset import SPLITS, Pixels
from voxtile_remote_sensing.recipes.layouts.pixels import picture_pixels
from voxtile_remote_sensing.recipes.layouts.reading import read_json

_LONGEST_TEXT = 1 << 20  # bytes of a text or JSON member


@dataclass(frozen=True)
class TarPairs:
    """Tars with a picture and its texts under one key.

    Attributes:
        patterns: globs of the tars; a folder name in the path is the split.
        pictures: suffixes of picture members.
        texts: suffixes of members that are a caption.
        json_texts: suffix of a JSON member → its keys that hold a caption or a list of them.
        tables: JSON files with more about each picture: `(file, key that joins, keys to keep)`; `{split}` in the name
            stands for the tar's folder.
    """

    patterns: tuple[str, ...]
    pictures: tuple[str, ...]
    texts: tuple[str, ...] = ()
    json_texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tables: tuple[str, str, tuple[str, ...]] | None = None

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures in the order of the tars.

        Raises:
            InputError: no tar, or one that is damaged.
        """
        tars = sorted({path for pattern in self.patterns for path in root.glob(pattern)})
        if not tars:
            raise InputError(f"'{root}' has no tar {' or '.join(self.patterns)}; download them and do not unpack them")
        lacking = [p for p in self.patterns if "/" in p and not any(root.glob(p))]
        if lacking and not any((root / path.name).is_file() for path in tars):
            tell(f"'{root}' has no tar {some_of(lacking)}; download them if they are to be there")
        about: dict[str, dict[str, Any]] = {}
        for path in tars:
            split = next((SPLITS[p.casefold()] for p in path.relative_to(root).parts if p.casefold() in SPLITS), None)
            about |= self._about(root, path)
            for key, members in _groups(path):
                entry = self._entry(path.relative_to(root).as_posix(), path, key, members, split, about)
                if entry is not None:
                    yield entry

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture, from its place in the tar."""
        return picture_pixels(_bytes(root / entry.files[0], entry.part["offset"], entry.part["nbytes"]))

    def _entry(
        self,
        name: str,
        path: Path,
        key: str,
        members: Mapping[str, Member],
        split: str | None,
        about: Mapping[str, Mapping[str, Any]],
    ) -> Entry | None:
        picture = next((members[suffix] for suffix in self.pictures if suffix in members), None)
        if picture is None:
            return None
        texts = [_text(path, members[suffix]) for suffix in self.texts if suffix in members]
        attributes: dict[str, Any] = {}
        for suffix, keys in self.json_texts.items():
            if suffix in members:
                content = load_json(_text(path, members[suffix]))
                texts += [t for k in keys for t in _strings(content.get(k))]
                attributes |= about.get(str(content.get(self.tables[1])), {}) if self.tables else {}
        part = {"offset": picture.offset, "nbytes": picture.nbytes}
        stem = name.removesuffix(".tar")
        return Entry(f"{stem}/{key}", (name,), split, {}, tuple(dict.fromkeys(texts)), part=part, attributes=attributes)

    def _about(self, root: Path, path: Path) -> dict[str, dict[str, Any]]:
        if self.tables is None:
            return {}
        file, join, keys = self.tables
        table = root / file.format(split=path.parent.name)
        if not table.is_file():
            return {}
        return {str(row[join]): {k: row[k] for k in keys if row.get(k) is not None} for row in read_json(table)}


def _groups(path: Path) -> Iterator[tuple[str, dict[str, Member]]]:
    """Members by the part of their name before the first dot, as WebDataset groups them."""
    current, members = "", dict[str, Member]()
    for member in scan_tar(path):
        if isinstance(member, Damage):
            raise InputError(member.sentence)
        folder, _, file = member.name.rpartition("/")
        stem, _, suffix = file.partition(".")
        key = f"{folder}/{stem}" if folder else stem
        if key != current and members:
            yield current, members
            members = {}
        current = key
        members[suffix.casefold()] = member
    if members:
        yield current, members


def _bytes(path: Path, offset: int, nbytes: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(nbytes)


def _text(path: Path, member: Member) -> str:
    if member.nbytes > _LONGEST_TEXT:
        raise InputError(f"'{path}' has a text of {member.nbytes} bytes in '{member.name}'; download it again")
    return _bytes(path, member.offset, member.nbytes).decode("utf-8", "replace")


def _strings(value: Any) -> list[str]:  # noqa: ANN401
    if isinstance(value, str) and value.startswith("["):  # img2dataset writes lists as JSON texts
        try:
            value = load_json(value)
        except ValueError:
            return [str(value)]
    return [str(v) for v in value] if isinstance(value, list) else [str(value)] if value else []
