"""`voxtile convert wav`: recordings as spectrograms, with what an observer heard."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxtile.corpus.identity import file_edges, sample_uid
from voxtile.corpus.records import Row, Sample
from voxtile.corpus.splits import parse_fractions, split_of
from voxtile.engine.run import RunOptions, run_task
from voxtile.engine.task import Item, Outcome
from voxtile.errors import InputError
from voxtile.stages.ingest.table import read_table
from voxtile_birdsong.spectrogram import FLOOR_DB, HOP, SCALE_DB, WINDOW, decibels, read_wav

VOCABULARY = "calls"
TABLE = "recordings.csv"
_SILENCE_DB = -70.0  # loudest level of a recording of nothing


@dataclass(frozen=True)
class WavTask:
    """A recording to a sample.

    Attributes:
        root: the folder; no part of the task's identity.
        about: columns of the table by file.
        calls: all that observers listened for.
        fractions: split → share.
        licence: of the recordings.
    """

    root: str
    about: Mapping[str, Mapping[str, str]]
    calls: tuple[str, ...]
    fractions: Mapping[str, float]
    licence: str | None
    name: str = "wav"
    version: str = "1"

    def config(self) -> Mapping[str, Any]:
        """Settings that change the output."""
        geometry = {"window": WINDOW, "hop": HOP, "scale_db": SCALE_DB}
        return {**geometry, "calls": list(self.calls), "fractions": dict(self.fractions), "licence": self.licence}

    def items(self) -> Iterator[Item]:
        """One item a file, by name."""
        for path in sorted(self.about):
            size, edges = file_edges(Path(self.root, path))
            yield Item(path, {"path": path, "edges": edges, "about": dict(self.about[path])}, cost=max(1, size))

    def process(self, item: Item) -> Outcome:
        """Read one file."""
        about = item.inputs["about"]
        sound = read_wav(Path(self.root, item.inputs["path"]))
        levels = decibels(sound)
        if levels.max() * SCALE_DB < _SILENCE_DB:
            return Outcome("dropped", "silent", f"nothing is louder than {_SILENCE_DB:g} dB; check the microphone")
        content = hashlib.sha256(sound.samples.tobytes()).hexdigest()
        uid = sample_uid(content, geometry=f"stft/{sound.rate}/{WINDOW}/{HOP}")
        site = about.get("site") or item.source
        row: Row = {
            "uid": uid,
            "subject": site,  # recordings of one microphone share its birds and its hum
            "kind": "image",
            "modality": "AUDIO",
            "axes": "YX",
            "units": "dB",
            "channels": [{"name": "level", "unit": "dB", "scale": SCALE_DB, "offset": 0.0}],
            "datetime": about.get("datetime"),
            "source": item.source,
            "licence": self.licence,
            "attributes": json.dumps({"hertz": sound.rate / WINDOW, "seconds": HOP / sound.rate, "floor_db": FLOOR_DB}),
        }
        tables: dict[str, list[Row]] = {
            "splits": [{"scheme": "default", "subject": site, "split": split_of(site, self.fractions)}]
        }
        if call := about.get("call"):
            tables["facts"] = [{"uid": uid, "concept": call, "polarity": "present", "source": "observer@1"}]
            tables["scopes"] = [{"uid": uid, "vocabulary": VOCABULARY, "closed": True, "concepts": list(self.calls)}]
        if remark := about.get("remark"):
            caption = hashlib.sha256(f"{uid}\0{remark}".encode()).hexdigest()[:32]
            tables["captions"] = [{"caption_id": caption, "uid": uid, "text": remark, "kind": "raw"}]
        return Outcome("used", samples=(Sample(row, levels),), tables=tables)


def convert_wav(
    source: Path,
    corpus: Path,
    *,
    split_fractions: str = "0.5,0.1,0.4",
    licence: str | None = None,
    **run: Any,
) -> None:
    """Convert WAV files, with a table recordings.csv of what was heard (file, site, call, remark).

    Args:
        source: the folder, or one WAV file.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, of the sites.
        licence: of the recordings.
        run: options of the run.

    Raises:
        InputError: there is no WAV file, or the table names one that is not there.
        RunFailedError: some files could not be read; the rest is converted.
    """
    root, names = (source, sorted(source.rglob("*.wav"))) if source.is_dir() else (source.parent, [source])
    if not names or not all(name.is_file() for name in names):
        raise InputError(f"'{source}' holds no WAV file; give the folder that holds them")
    about: dict[str, dict[str, str]] = {name.relative_to(root).as_posix(): {} for name in names}
    if source.is_dir() and (root / TABLE).is_file():
        _add_table(root / TABLE, about)
    calls = tuple(sorted({row["call"] for row in about.values() if row.get("call")}))
    task = WavTask(str(root), about, calls, parse_fractions(split_fractions), licence)
    run_task(task, corpus, RunOptions(**run)).raise_if_failed()


def _add_table(path: Path, about: dict[str, dict[str, str]]) -> None:
    table = read_table(path)
    names = table.column(table.need(["file"], "name of the file"))
    columns = ("site", "call", "remark", "datetime")
    cells = {key: table.column(column) for key in columns if (column := table.find([key])) is not None}
    for number, name in enumerate(names):
        if name not in about:
            raise InputError(f"'{path}' names '{name}', which is not in the folder; correct the table")
        about[name] = {key: value for key, column in cells.items() if (value := column[number])}
