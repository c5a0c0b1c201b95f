"""A corpus built again beside itself without a subject; what does not change is linked, not copied."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voxtile.bounded_text import load_json
from voxtile.corpus.forgotten import FORGOTTEN, FORGOTTEN_FILE, ForgottenSubjects
from voxtile.corpus.packing.reading import is_packed_name
from voxtile.corpus.packing.whole_folder import corpus_files, link_file, sync_folder
from voxtile.corpus.records import recorded_files, sealed
from voxtile.corpus.view.selection import ABOUT, SUFFIX, Selection, write_selection
from voxtile.engine.commit import DONE
from voxtile.engine.manifest import FOLDER as MANIFESTS
from voxtile.engine.manifest import write_manifest
from voxtile.engine.plan import TaskIdentity
from voxtile.errors import CorpusError
from voxtile.file_edges import file_sha256
from voxtile_datasets.cards.command import CROISSANT
from voxtile_datasets.cards.command import FILES as CARD
from voxtile_datasets.forgetting.belongings import Belongings
from voxtile_datasets.forgetting.needles import Needles
from voxtile_datasets.forgetting.shards import Moves, packed_without, part_without, shard_without

VERSION = "1"


@dataclass
class Changes:
    """What a new corpus has otherwise than the old one.

    Attributes:
        files: path relative to the corpus → sha-256 and size in bytes, of what was written again.
        removed: paths of what is gone.
        views: compiled views and data cards that are gone, to be made again.
        selections: folders of curated selections that lost rows.
        moves: shard → new places of its members.
    """

    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    views: list[str] = field(default_factory=list)
    selections: list[str] = field(default_factory=list)
    moves: dict[str, Moves] = field(default_factory=dict)


def build(root: Path, target: Path, gone: Belongings, needles: Needles) -> Changes:
    """Fill a folder with a corpus as it is without a subject.

    Args:
        root: the corpus; it is only read.
        target: an empty folder on the same disk.
        gone: what is to go.
        needles: what is looked for in files that are derived, which go where they hold any of it.

    Raises:
        CorpusError: a file of the corpus is damaged.
        OSError: the disk is full, or not ours.
    """
    changes = Changes()
    for shard in sorted(gone.shards):
        (target / shard).parent.mkdir(parents=True, exist_ok=True)
        changes.moves[shard] = shard_without(root / shard, target / shard, gone.uids | gone.regions)
        _note(changes, root, target, shard)
    for path in corpus_files(root):
        name = path.relative_to(root).as_posix()
        if name not in gone.shards and not _left_out(root, path, needles, changes):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            if not _rewritten(root, target, name, gone, needles, changes):
                link_file(path, target / name)
    _selections_again(root, target, changes)
    _require_sound(root, changes)
    forgotten = ForgottenSubjects.of(root).with_subjects(gone.subjects)
    (target / FORGOTTEN_FILE).unlink(missing_ok=True)  # a link to the old one
    (target / FORGOTTEN_FILE).write_bytes(forgotten.to_bytes())
    _note(changes, root, target, FORGOTTEN_FILE)
    _done_again(root, target, gone, changes)
    write_manifest(
        target, TaskIdentity("forget", VERSION, "{}"), [], counts={"subjects": len(gone.subjects)}, reasons={},
        files=changes.files, seconds=0, removed=changes.removed,
    )  # fmt: skip
    sync_folder(target)
    return changes


def _require_sound(root: Path, changes: Changes) -> None:
    """Refuse to write again what is damaged: it would get the hash that it has now.

    Raises:
        CorpusError: a file differs from what was written.
    """
    recorded = recorded_files(root)
    for name in sorted(changes.files.keys() & recorded.keys()):
        if file_sha256(root / name) != recorded[name][0]:
            raise CorpusError(
                f"'{root / name}' differs from what was written; restore it from a copy before a subject is forgotten "
                "('voxtile verify' names all such files)"
            )


def _left_out(root: Path, path: Path, needles: Needles, changes: Changes) -> bool:
    """Whether a file is derived from rows of the subject: a file of a compiled view, or a data card."""
    inside = path.relative_to(root).parts
    if inside[0] == "views" and len(inside) > 2 and not inside[1].endswith(SUFFIX):
        view = root / "views" / inside[1]
        name = view.relative_to(root).as_posix()
        if name not in changes.views and any(
            needles.found_in_file(file) for file in sorted(view.rglob("*")) if file.is_file()
        ):
            changes.views.append(name)
        return name in changes.views
    if len(inside) == 1 and inside[0] in CARD and (root / CROISSANT).is_file():
        changes.views.append(inside[0])  # its hashes and counts are of the old tables
        return True
    return False


def _rewritten(root: Path, target: Path, name: str, gone: Belongings, needles: Needles, changes: Changes) -> bool:
    """Write a file of the corpus again where it changes; whether it did."""
    top, _, rest = name.partition("/")
    if top in ("tables", "ledger") and is_packed_name(Path(name).name):
        if packed_without(root, root / name, target / name, gone, changes.moves):
            _note(changes, root, target, name)
            return True
    elif name.endswith(".parquet") and (top in ("tables", "ledger") or (top == "views" and SUFFIX in rest)):
        if part_without(root / name, target / name, gone, changes.moves, keep_empty=top == "views"):
            if top == "views":
                changes.selections.append(rest.partition("/")[0])
            else:
                _note(changes, root, target, name)
            return True
    elif top == MANIFESTS and name.endswith(".json") and needles.found_in_file(root / name):
        (target / name).write_text(sealed(_blanked(_json(root / name), needles)), "utf-8")
        return True
    return False


def _note(changes: Changes, root: Path, target: Path, name: str) -> None:
    path = target / name
    if path.is_file():
        if (root / name).is_file():
            shutil.copymode(root / name, path)
        changes.files[name] = (file_sha256(path), path.stat().st_size)
    else:
        changes.removed.append(name)


def _done_again(root: Path, target: Path, gone: Belongings, changes: Changes) -> None:
    """Done files: an input that was the subject's alone has no name any more, and files have other hashes.

    Its digest stays, so that the same input is not converted again; it holds a hash of the name.
    """
    for path in sorted((root / DONE).glob("*.json")):
        old = _json(path)
        new = dict(old)
        new["items"] = [_forgotten_item(item) if gone.owns_source(item[1]) else item for item in old["items"]]
        new["files"] = {
            name: _entry(changes.files[name]) if name in changes.files else entry
            for name, entry in old["files"].items()
            if name not in changes.removed
        }
        if new != old:
            name = path.relative_to(root).as_posix()
            (target / name).unlink()  # a link to the old one
            _write_json(target / name, new, indent=1, sort_keys=True)
            changes.files[name] = (file_sha256(target / name), (target / name).stat().st_size)


def _forgotten_item(item: list[Any]) -> list[Any]:
    return [item[0], FORGOTTEN, "dropped", FORGOTTEN, 0]


def _entry(known: tuple[str, int]) -> dict[str, Any]:
    return {"sha256": known[0], "bytes": known[1]}


def _selections_again(root: Path, target: Path, changes: Changes) -> None:
    """Curated selections that lost rows get the hash of what they hold now."""
    for name in dict.fromkeys(changes.selections):
        Selection(root / "views" / name).check()
        folder, about = target / "views" / name, _json(root / "views" / name / ABOUT)
        scratch = folder / "again"
        scratch.mkdir()
        for part in sorted(folder.glob("*.parquet")):
            part.rename(scratch / part.name)
        (folder / ABOUT).unlink(missing_ok=True)
        write_selection(folder, sorted(scratch.glob("*.parquet")), {k: v for k, v in about.items() if k != "sha256"})
        scratch.rmdir()


def _blanked(value: Any, needles: Needles) -> Any:  # noqa: ANN401 - whatever JSON holds
    if isinstance(value, dict):
        return {key: _blanked(one, needles) for key, one in value.items()}
    if isinstance(value, list):
        return [_blanked(one, needles) for one in value]
    if isinstance(value, str) and needles.found_in(value.encode("utf-8", "surrogatepass")):
        return FORGOTTEN
    return value


def _json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = load_json(path.read_bytes())
        return dict(content)
    except (OSError, ValueError, TypeError) as error:
        raise CorpusError(f"'{path}' is damaged; run 'voxtile verify' on the corpus") from error


def _write_json(path: Path, content: dict[str, Any], **how: Any) -> None:  # noqa: ANN401
    path.write_text(json.dumps(content, **({"indent": 1, "ensure_ascii": False} | how)), "utf-8")
