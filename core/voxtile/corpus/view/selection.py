"""A curated selection: which samples and captions a view takes, and how often each sample is drawn.

It lies beside the compiled view, at `views/NAME.selection/`, and outlives it: `selection.parquet` (uid, weight),
`captions.parquet` (caption_id) where captions were chosen too, and `selection.json` with how it was made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb

from voxtile.bounded_text import read_json
from voxtile.corpus.storage import publish_all
from voxtile.errors import ConfigError, CorpusError

SUFFIX = ".selection"
SAMPLES, CAPTIONS, ABOUT = "selection.parquet", "captions.parquet", "selection.json"
EVERYTHING = "all"  # the view without any selection


@dataclass(frozen=True)
class Selection:
    """An opened selection.

    Attributes:
        folder: where it lies.
    """

    folder: Path

    @cached_property
    def about(self) -> dict[str, Any]:
        """How it was made: name, scheme, steps and their counts.

        Raises:
            CorpusError: the file is damaged.
        """
        try:
            about: dict[str, Any] = read_json(self.folder / ABOUT)
            if not isinstance(about.get("of_samples", 0), int | None):
                raise TypeError("of_samples")
            return {"scheme": about["scheme"], "weighted": about["weighted"], "sha256": about["sha256"], **about}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorpusError(f"'{self.folder}' is damaged; make the view again with voxtile curate") from error

    @property
    def key(self) -> str:
        """Hash of what is selected."""
        return str(self.about["sha256"])

    @property
    def weighted(self) -> bool:
        """Whether samples are drawn unequally often."""
        return bool(self.about["weighted"])

    @property
    def chooses_captions(self) -> bool:
        """Whether some captions are left out."""
        return (self.folder / CAPTIONS).is_file()

    def check_scheme(self, scheme: str, name: str) -> None:
        """Raise ConfigError where the view is opened with other splits than it was curated with."""
        if self.about["scheme"] != scheme:
            raise ConfigError(
                f"view '{name}' was curated with the split scheme '{self.about['scheme']}', not '{scheme}'; "
                "train with that scheme, or curate again with --scheme"
            )

    def outgrown(self, name: str, samples: int) -> str | None:
        """What to say where the corpus no longer holds as many samples as there were to choose from, else None."""
        before = self.about.get("of_samples")  # not in views of earlier releases
        if before in (None, samples):
            return None
        return (
            f"view '{name}' was chosen from {before:,} samples and the corpus has {samples:,} now; what is new is not "
            "in it until voxtile curate makes it again"
        )

    def check(self) -> None:
        """Raise CorpusError where the files are not those that were written."""
        try:
            found = _digest([path for path in (self.folder / SAMPLES, self.folder / CAPTIONS) if path.is_file()])
        except OSError as error:
            raise CorpusError(f"'{self.folder}' cannot be read ({error.strerror}); check the disk") from error
        if found != self.key:
            if Selection(self.folder).key != self.key:
                raise CorpusError(f"the view '{self.folder}' was curated again meanwhile; run the command again")
            raise CorpusError(
                f"'{self.folder}' differs from what was written; make the view again with voxtile curate, whose steps "
                f"are in its {ABOUT}"
            )

    def register(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Create the views `selected` (uid, weight) and, where captions were chosen, `selected_captions`.

        Raises:
            CorpusError: a file is damaged, or is not the one that was written.
        """
        self.check()
        tables = {"selected": SAMPLES} | ({"selected_captions": CAPTIONS} if self.chooses_captions else {})
        for table, name in tables.items():
            path = str((self.folder / name).resolve()).replace("'", "''")
            try:
                connection.execute(f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{path}')")
            except duckdb.Error as error:
                raise CorpusError(
                    f"'{self.folder / name}' cannot be read; make the view again with voxtile curate"
                ) from error


def find_selection(places: Sequence[Path], label: str, name: str, where: str | None) -> Selection | None:
    """The selection of a view, or None where it takes everything.

    Args:
        places: folders of views; the first that has it counts.
        label: name of the view's folder.
        name: as the user gave it.
        where: condition of a view that is no curated one.

    Raises:
        ConfigError: the corpus has no curated view of this name; a misspelt name must not train on everything.
    """
    for views in places:
        if (folder := views / f"{label}{SUFFIX}").is_dir():
            return Selection(folder)
    if name != EVERYTHING and where is None:
        known = ", ".join(name for views in places for name in curated_names(views))
        raise ConfigError(
            f"view: there is no curated view '{name}'; there are: {known or 'none, make one with voxtile curate'}; "
            f"'{EVERYTHING}' takes everything"
        )
    return None


def curated_names(views: Path) -> list[str]:
    """Names of the curated views in a folder."""
    return sorted(path.name.removesuffix(SUFFIX) for path in views.glob(f"*{SUFFIX}") if path.is_dir())


def write_selection(folder: Path, files: Sequence[Path], about: dict[str, Any]) -> Selection:
    """Publish a selection from finished files, replacing an older one of this name.

    Args:
        folder: `views/NAME.selection`.
        files: `selection.parquet` and perhaps `captions.parquet`, in a scratch folder; they are moved.
        about: how it was made; must hold `scheme` and `weighted`.

    Raises:
        StorageError: the folder cannot be written.
    """
    text = json.dumps({**about, "sha256": _digest(files)}, indent=1, ensure_ascii=False)
    if not any(path.name == CAPTIONS for path in files):
        (folder / CAPTIONS).unlink(missing_ok=True)
    moves = [(folder / path.name, _mover(path)) for path in files]
    publish_all([*moves, (folder / ABOUT, lambda target: _write(target, text))])
    return Selection(folder)


def _digest(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(files, key=lambda path: path.name):
        with path.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _mover(source: Path) -> Any:  # noqa: ANN401 - a function of the target
    def move(target: Path) -> None:
        source.replace(target)

    return move


def _write(target: Path, text: str) -> None:
    target.write_text(text, "utf-8")
