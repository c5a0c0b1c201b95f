"""Whether a command did what the docs say: what it left, beyond an exit status of 0."""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

Rows = Mapping[str, int]
_ADDS = {
    "facts": ("facts", "regions"),
    "caption": ("captions",),
    "check": ("verdicts",),
    "instruct": ("dialogues",),
    "score": ("scores",),
    "describe": ("captions",),
    "embed": ("embeddings",),
    "build": ("samples",),
    "import": ("samples", "captions", "embeddings"),
    "convert": ("samples", "captions", "facts", "regions"),
}
# What a command may say that adds nothing, where the very same one was run before; another one asks for something new.
_NOTHING_NEW = re.compile(r"nothing to do|already|up to date|0 inputs|from earlier runs")
_REPLACED = re.compile(r"texts of [\d,]+ samples are replaced")  # by as many rows as there were
_SHOWN = re.compile(r"roles of the series")  # `facts --from series` shows the roles that `convert` wrote


@dataclass(frozen=True)
class Done:
    """A command that ended.

    Attributes:
        command: as it was run.
        folder: where.
        said: what it printed, both streams.
        before, after: rows of the corpus's tables.
        changed: files that are new or newer, relative to the folder.
        earlier: commands that were run before it on the same files, in its section and those it takes them from.
    """

    command: str
    folder: Path
    said: str
    before: Rows
    after: Rows
    changed: frozenset[str]
    earlier: frozenset[str] = frozenset()


def checked(done: Done) -> str:
    """What was found, in a few words.

    Raises:
        AssertionError: the result is not there.
    """
    words = shlex.split(done.command.replace("$(", "(").replace("(", "\\(").replace(")", "\\)"))
    assert "Traceback" not in done.said, "a traceback was printed"
    if "--dry-run" in words or "--help" in words:
        assert done.said.strip(), "it said nothing"
        return "said what it would do" if "--dry-run" in words else "printed its help"
    program, command = words[0], words[1] if len(words) > 1 else ""
    if program == "lightning" or command == "fit":
        return {"fit": _trained, "test": _figures, "validate": _validated, "predict": _predicted}[command](done)
    if program == "pip":
        return "every requirement is met"
    if program != "voxtile":
        return _said(done)
    if command == "facts" and "--listing" in words:
        return _written(done, words[:2] + words[words.index("--listing") + 1 :][:1])
    if command in _ADDS and words[1:3] not in (["caption", "bank"], ["caption", "sign"]):  # which write their file
        return _added(done, _ADDS[command])
    if command == "evaluate":
        return _figures(done)
    is_shown = (command == "inspect" and "--html" not in words) or (command == "config" and ">" not in words)
    is_shown |= words[1:3] == ["caption", "sign"] and "--by" not in words  # who signed what; nobody signs now
    is_shown |= words[1:3] == ["subjects", "find"] or (command == "retract" and len(words) == 3)
    is_shown |= command == "report" and "--out" not in words
    if is_shown or command in ("verify", "domains", "doctor", "plan", "ask", "calibrate"):
        return _said(done)
    return _written(done, words)


def _said(done: Done) -> str:
    lines = [line for line in done.said.splitlines() if line.strip()]
    assert lines, "it said nothing"
    return f"said: {lines[-1].strip()[:60]}"


def _added(done: Done, tables: tuple[str, ...]) -> str:
    new = {table: done.after.get(table, 0) - done.before.get(table, 0) for table in tables}
    found = {table: count for table, count in new.items() if count > 0}
    if not found and (_SHOWN.search(done.said) or (done.command in done.earlier and _NOTHING_NEW.search(done.said))):
        return "had been done before, and shows it"
    if not found and "--replace-reports" in done.command and (replaced := _REPLACED.search(done.said)):
        return replaced.group()
    assert found, f"no row was added to {' or '.join(tables)}"
    return ", ".join(f"+{count} {table}" for table, count in found.items())


def _trained(done: Done) -> str:
    checkpoints = [name for name in done.changed if name.endswith("last.ckpt")]
    assert checkpoints, "there is no checkpoint"
    losses = [float(found) for found in re.findall(r"step \d+ of \d+: loss (\S+?),? ", done.said)]
    assert losses, "no loss was shown"
    assert all(map(math.isfinite, losses)), f"the losses are {losses[:3]}"
    return f"a checkpoint, loss {losses[-1]:.3g}"


def _validated(done: Done) -> str:
    assert re.search(r"val/\S+", done.said), "no figure was shown"
    return "figures of the validation split"


def _predicted(done: Done) -> str:
    assert any(name.endswith("embeddings.parquet") for name in done.changed), "there are no embeddings"
    return "embeddings.parquet"


def _figures(done: Done) -> str:
    found = [name for name in done.changed if name.endswith("results.json")]
    assert found, "there is no results.json"
    rows = json.loads((done.folder / found[0]).read_text(encoding="utf-8"))["rows"]
    values = [row for row in rows if row["kind"] == "model" and row["value"] is not None]
    assert values, f"none of the {len(rows)} figures of results.json has a value"
    assert (done.folder / found[0]).with_name("index.html").is_file(), "there is no page"
    return f"{len(values)} figures, a page"


def _written(done: Done, words: list[str]) -> str:
    """Files; those that the command line names have to be among them."""
    files = {name for name in done.changed if (done.folder / name).stat().st_size}
    if not files and words[1] == "ground" and "nothing was found; no file was written" in done.said:
        return "nothing was found, and it says so"
    if not files and re.search(r"nothing to (remove|migrate)", done.said):
        return "there was nothing to do, and it says so"
    assert files, "it wrote nothing"
    read = words[words.index("--identifiers") + 1] if "--identifiers" in words else None
    for word in words[4:] if words[1] == "ground" else words[2:]:  # `ground MODEL IMAGE` reads its first two
        if word != read and word.endswith((".html", ".csv", ".parquet", ".dcm", ".yaml")) and not word.startswith("-"):
            assert word in files, f"it did not write {word}"
    return f"{len(files)} file{'s' * (len(files) != 1)}, e.g. {min(files, key=len)}"
