"""One sample as WebDataset members: the picture as it is or as an array is shown, the caption, and what is known."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from voxtile.corpus.records import Row
from voxtile.corpus.source import ARRAY_CODEC, REFERENCE_CODEC, StoredSample
from voxtile.corpus.view.text import text_hash
from voxtile.corpus.view.view import Caption
from voxtile.data.captions import CaptionPolicy
from voxtile.errors import StopRunError, VoxtileError
from voxtile.formats.png import render
from voxtile_datasets.webdataset_export.selection import chosen
from voxtile_datasets.webdataset_export.settings import ExportSettings

WITHOUT_CAPTION = "no caption that the policy takes"
FAILED = "failed"
# What of a sample's row is of use without the corpus; never its source.
_KEPT = (
    "uid", "subject", "study", "kind", "modality", "axes", "shape", "dtype", "units", "spacing", "affine", "mpp",
    "gsd_m", "crs", "bounds", "datetime", "licence",
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """What goes into a shard together.

    Attributes:
        place: of the sample within its split's order.
        members: (name, content).
        skipped: (reason, uid or sentence) of the samples since the record before that gave none.
    """

    place: int
    members: tuple[tuple[str, bytes], ...]
    skipped: tuple[tuple[str, str], ...] = field(default=())

    @property
    def nbytes(self) -> int:
        """Bytes in a tar, headers and padding included."""
        return sum(512 + len(data) + -len(data) % 512 for _, data in self.members)


@dataclass
class RecordStream:
    """Records of the samples of a split, in order.

    Attributes:
        root: the corpus.
        settings: of the export.
        rows: of `Selection.rows`.
        place: of the first row.
        skipped: reasons since the last record; what is left at the end belongs to no record.
    """

    root: Path
    settings: ExportSettings
    rows: Iterator[Row]
    place: int
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def __iter__(self) -> Iterator[Record]:
        policy = self.settings.policy
        for row in self.rows:
            texts = _texts(row, policy, self.settings.seed)
            if not texts:
                self.skipped.append((WITHOUT_CAPTION, row["uid"]))
            else:
                try:
                    yield from self._records(row, texts)
                except StopRunError:
                    raise
                except VoxtileError as error:
                    self.skipped.append((FAILED, f"{row['uid']}: {error}"))
            self.place += 1

    def _records(self, row: Row, texts: list[Row]) -> Iterator[Record]:
        suffix, picture, shown = picture_of(StoredSample(self.root, row), self.settings)
        for number, text in enumerate(texts):
            key = row["uid"] if self.settings.per_sample == 1 else f"{row['uid']}-{number}"
            about = json.dumps(_about(row, text, shown), ensure_ascii=False, sort_keys=True).encode()
            members = ((f"{key}.{suffix}", picture), (f"{key}.txt", text["text"].encode()), (f"{key}.json", about))
            yield Record(self.place, members, tuple(self.skipped))
            self.skipped.clear()


def picture_of(sample: StoredSample, settings: ExportSettings) -> tuple[str, bytes, str]:
    """A sample as 8-bit JPEG or PNG.

    Returns:
        Suffix, bytes, and what the picture is, in words: pictures are as stored, byte for byte.

    Raises:
        CorpusError: it cannot be read, or makes no picture.
    """
    row = sample.meta
    if row["codec"] not in {ARRAY_CODEC, REFERENCE_CODEC}:
        return str(row["codec"]), bytes(sample.payload()), "as stored"
    if row["codec"] == REFERENCE_CODEC and row.get("dtype") in {None, "uint8"}:
        data = sample.encoded()
        return ("png" if data.startswith(b"\x89PNG") else "jpg"), data, "as referenced"
    if settings.picture == "preview" and (stored := sample.preview()):
        return "jpg", stored, "stored preview"
    stream = io.BytesIO()
    Image.fromarray(render(sample, settings.window)).save(stream, "PNG")
    return "png", stream.getvalue(), _rendering(row, settings.window)


def _rendering(row: Any, window: tuple[float, float] | None) -> str:  # noqa: ANN401
    axes = str(row.get("axes"))
    shown = (
        "middle axial, coronal and sagittal slices" if axes.endswith("ZYX")
        else "bands nearest to red, green and blue" if axes in {"CYX", "YXC"} and len(row.get("channels") or []) >= 3
        else "values"
    )  # fmt: skip
    if window:
        return f"{shown}, {window[0]:g} to {window[1]:g} {row.get('units') or ''}".strip()
    return f"{shown}, {'-1000 to 1000 HU' if row.get('units') == 'HU' else '1st to 99th percentile'}"


def _texts(row: Row, policy: CaptionPolicy, seed: int) -> list[Row]:
    """The captions that the policy takes, the choice keyed by the sample."""
    captions = [Caption(t["text"], t["kind"], t["verdict"], text_hash(t["text"])) for t in row["texts"]]
    digest = hashlib.sha256(f"{seed}\0{row['uid']}".encode()).digest()
    taken = policy.choose(captions, np.random.default_rng(int.from_bytes(digest[:16], "big")))
    by_hash: dict[int, Row] = {}
    for caption, text in zip(captions, row["texts"], strict=True):
        if caption.verdict not in policy.exclude_verdicts and (not policy.kinds or policy.kinds.get(caption.kind)):
            by_hash.setdefault(caption.text_hash, text)
    return [by_hash[text.text_hash] for text in taken]


def _about(row: Row, text: Row, shown: str) -> dict[str, Any]:
    facts = {name: row[name] for name in ("present", "absent", "uncertain") if row.get(name)}
    channels = [channel["name"] for channel in row.get("channels") or [] if channel.get("name")]
    return {
        **chosen(row, _KEPT),
        **({"channels": channels} if channels else {}),
        **({"facts": facts} if facts else {}),
        "picture": shown,
        "caption": {name: value for name, value in text.items() if name != "text" and value is not None},
    }
