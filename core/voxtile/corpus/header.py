"""`corpus.json`: what makes a folder a corpus, and which version of the format it has."""

from __future__ import annotations

import json
from pathlib import Path

from voxtile.bounded_text import load_json
from voxtile.corpus.schema import SCHEMA_VERSION
from voxtile.corpus.storage import storage_errors, write_atomically
from voxtile.errors import CorpusError

CORPUS_FILE = "corpus.json"
_FORMAT = "voxtile-corpus"


def new_corpus(root: Path) -> None:
    """Make a folder a corpus, or check that it already is one that this version can extend.

    Raises:
        CorpusError: the folder holds something else, is not writable, or was made by a newer version.
    """
    with storage_errors(root):
        exists = (root / CORPUS_FILE).is_file()
    if exists:
        check_corpus(root)
        return
    with storage_errors(root):
        if root.exists() and not root.is_dir():
            raise CorpusError(f"'{root}' is a file; name a folder for the corpus")
        root.mkdir(parents=True, exist_ok=True)
        if any(not entry.name.startswith(".") for entry in root.iterdir()):
            raise CorpusError(
                f"'{root}' is not empty and holds no {CORPUS_FILE}; choose an empty folder for the corpus"
            )
    header = {"format": _FORMAT, "schema": SCHEMA_VERSION}
    write_atomically(root / CORPUS_FILE, (json.dumps(header, indent=2) + "\n").encode())


def check_corpus(root: Path) -> None:
    """Check that a folder is a corpus that this version can read.

    Raises:
        CorpusError: it is not, or it was made by a newer version.
    """
    path = root / CORPUS_FILE
    try:
        header = load_json(path.read_text("utf-8"))
        version = str(header["schema"])
        if header["format"] != _FORMAT:
            raise ValueError(header["format"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorpusError(f"'{root}' is not a corpus (it has no {CORPUS_FILE}); check the path") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"'{path}' is damaged; restore it, or write it anew with the schema version") from error
    check_version(version, path)


def check_version(version: str, path: Path) -> None:
    """Refuse what a newer major version wrote.

    Raises:
        CorpusError: the version is newer or not a version.
    """
    try:
        major = int(version.partition(".")[0])
    except ValueError as error:
        raise CorpusError(f"'{path}' states the schema version {version!r}, which is not a version") from error
    supported = int(SCHEMA_VERSION.partition(".")[0])
    if major > supported:
        raise CorpusError(
            f"'{path}' was made with schema version {version}; this voxtile reads up to {supported}.x: upgrade it"
        )
