"""`corpus.json`: what makes a folder a corpus, and which version of the format it has; and where the folder is."""

from __future__ import annotations

import json
import os
from pathlib import Path

from voxtile.bounded_text import read_json
from voxtile.corpus.remote.address import draft_marker, parse_address, refuse_remote
from voxtile.corpus.schema import NEWEST_VERSION, SCHEMA_VERSION
from voxtile.corpus.storage import storage_errors, write_atomically
from voxtile.errors import CorpusError

CORPUS_FILE = "corpus.json"
_FORMAT = "voxtile-corpus"


def new_corpus(root: Path) -> None:
    """Make a folder a corpus, or check that it already is one that this version can extend.

    Raises:
        CorpusError: the folder holds something else, is not writable, or was made by a newer version.
    """
    if is_corpus_or_free(root):
        return
    with storage_errors(root):
        root.mkdir(parents=True, exist_ok=True)
    write_atomically(root / CORPUS_FILE, header_bytes(SCHEMA_VERSION))


def is_corpus_or_free(root: Path) -> bool:
    """Whether a folder is a corpus already; where it is none, it can become one, and nothing is written.

    Raises:
        CorpusError: it holds something else, or was made by a newer version.
    """
    refuse_remote(root, "written to")
    with storage_errors(root):
        if (root / CORPUS_FILE).is_file():
            check_corpus(root)
            return True
        if root.exists() and not root.is_dir():
            raise CorpusError(f"'{root}' is a file; name a folder for the corpus")
        if root.is_dir() and any(not entry.name.startswith(".") for entry in root.iterdir()):
            raise CorpusError(
                f"'{root}' is not empty and holds no {CORPUS_FILE}; choose an empty folder for the corpus"
            )
    return False


def header_bytes(version: str) -> bytes:
    """Content of `corpus.json` of a format version."""
    return (json.dumps({"format": _FORMAT, "schema": version}, indent=2) + "\n").encode()


def corpus_version(root: Path) -> str:
    """The format version that a corpus states.

    Raises:
        CorpusError: it is no corpus, or was made by a newer version.
    """
    check_corpus(root)
    return str(read_json(root / CORPUS_FILE)["schema"])


def check_corpus(root: Path) -> None:
    """Check that a folder is a corpus that this version can read.

    Raises:
        CorpusError: it is not, or it was made by a newer version.
    """
    path = root / CORPUS_FILE
    try:
        header = read_json(path)
        version = str(header["schema"])
        if header["format"] != _FORMAT:
            raise ValueError(header["format"])
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorpusError(f"'{root}' is not a corpus (it has no {CORPUS_FILE}); check the path") from error
    except OSError as error:
        raise CorpusError(f"'{path}' cannot be read ({error.strerror}); check the path and its permissions") from error
    except (ValueError, KeyError, TypeError) as error:
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
    supported = int(NEWEST_VERSION.partition(".")[0])
    if major > supported:
        raise CorpusError(
            f"'{path}' was made with schema version {version}; this voxtile reads up to {supported}.x: upgrade it"
        )


def corpus_name(path: str | os.PathLike[str]) -> str:
    """How a user names a corpus: its folder, or its address, also where the folder is a draft of what lies there."""
    address = parse_address(path)
    if address is None:
        return corpus_home(Path(path)) if draft_marker(Path(path)).is_file() else os.fspath(path)
    return address.url


def corpus_home(root: Path) -> str:
    """By what another machine finds a corpus: the address of the remote one that a folder stands for, or the folder."""
    from voxtile.corpus.remote.payloads import remote_address  # late: only lists of work for other processes ask

    return remote_address(root) or str(root.absolute())


def corpus_root(path: str | os.PathLike[str]) -> Path:
    """The folder that holds the tables of a corpus; those of a remote one are fetched first, where they have changed.

    Args:
        path: a folder, or `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `https://HOST/PATH`, also as a Path of it.

    Raises:
        CorpusError: it is not a corpus, was made by a newer version, or cannot be reached.
        MissingExtraError: it is remote, and the extra `remote` is not installed.
    """
    address = parse_address(path)
    if address is None:
        check_corpus(Path(path))
        return Path(path)
    from voxtile.corpus.remote.client import fetch_header, synchronise  # late: it starts processes, for a few users

    root = fetch_header(address)
    try:
        check_corpus(root)
    except CorpusError as error:
        raise CorpusError(f"{error} (of '{address.url}')") from error
    return synchronise(address)
