"""What a subject has in common with others: it stays, and no search can tell whose it is."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from voxtile.corpus.parts import part_paths, read_parts, table_schema
from voxtile.corpus.shards.memory_maps import map_payload
from voxtile_datasets.forgetting.belongings import Belongings
from voxtile_datasets.forgetting.needles import Needles


def hashes_of_others(root: Path, gone: Belongings) -> set[str]:
    """Hashes of pixels that another subject's samples have too."""
    found: set[str] = set()
    own = pa.array(sorted(gone.hashes), pa.string())
    for part in part_paths(root, "samples"):
        rows = read_parts([part], table_schema("samples"), ["subject", "sha256"])
        others = pc.invert(pc.is_in(rows["subject"], value_set=pa.array(sorted(gone.subjects), pa.string())))
        found.update(rows.filter(pc.and_(others, pc.is_in(rows["sha256"], value_set=own)))["sha256"].to_pylist())
    return found


def texts_of_others(root: Path, gone: Belongings) -> set[str]:
    """Texts that are said of other subjects too, word for word or within a longer one."""
    texts = sorted(text for text in gone.texts if text)
    said = Needles()
    said.add_texts(texts)
    by_bytes = {text.encode(): text for text in texts}
    found: set[str] = set()
    for table, key, column, own in (
        ("captions", "caption_id", "text", gone.captions),
        ("dialogues", "dialogue_id", "text", gone.dialogues),
        ("preferences", "preference_id", "chosen", gone.preferences),
        ("preferences", "preference_id", "rejected", gone.preferences),
    ):
        for part in part_paths(root, table):
            rows = read_parts([part], table_schema(table), [key, column])
            for name, text in zip(rows[key].to_pylist(), rows[column].to_pylist(), strict=True):
                if name not in own:
                    found.update(by_bytes[one] for one in said.found_in(text.encode()) if one in by_bytes)
    return found


def pixels_of_others(root: Path, gone: Belongings, windows: Collection[bytes]) -> set[bytes]:
    """Stretches of stored pixels that samples of other subjects hold too, as scans of one device do at their margins.

    Args:
        root: the corpus as it was.
        gone: of the subject.
        windows: what is looked for.
    """
    needles = Needles()
    needles.add_pixels(windows)
    found: set[bytes] = set()
    for part in part_paths(root, "samples"):
        rows = read_parts([part], table_schema("samples"), ["subject", "shard", "offset", "nbytes"])
        for row in rows.filter(pc.is_valid(rows["shard"])).to_pylist():
            if row["subject"] not in gone.subjects and len(found) < len(windows):
                found |= needles.found_in(map_payload(root / row["shard"], row["offset"], row["nbytes"]))
    return found
