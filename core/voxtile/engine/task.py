"""What the engine runs: a task that lists items and turns each into an outcome.

A converter implements `Task` and knows nothing of processes, shards, retries or the commit protocol; an engine (local
processes) runs it. A task is pickled to the workers, so keep it a frozen dataclass of plain values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from voxtile.corpus.records import EncodedArray, Mask, Row, Sample

__all__ = ["EncodedArray", "Item", "Mask", "Outcome", "Part", "Row", "Sample", "Status", "Task"]

Status: TypeAlias = Literal["used", "dropped", "failed"]


@dataclass(frozen=True)
class Item:
    """One unit of input: a series, a file, a strip of a slide, a row of a table.

    Attributes:
        source: what the ledger calls it; a relative path, or a keyed hash where de-identification is on.
        inputs: JSON-able values that identify the content (paths, sizes, hashes); hashed into the job's id.
        cost: rough number of bytes to read; items are grouped into jobs of similar cost.
        refused: reason and sentence of an item that was found unusable while the plan was made; it is not processed and
            only becomes a failed row of the ledger.
    """

    source: str
    inputs: Mapping[str, Any]
    cost: int = 1
    refused: tuple[str, str] | None = None


@dataclass(frozen=True)
class Part:
    """A part of an item that gives no sample while the rest of it is stored: one patch of a strip, say.

    Attributes:
        uid: of the sample that it would have been.
        status: `failed` or `dropped`.
        reason: short machine-readable name.
        detail: one sentence for people.
        source: what the ledger calls it, the item's source and what follows a `#`; the item's source where left out.
    """

    uid: str
    status: Literal["failed", "dropped"]
    reason: str
    detail: str
    source: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of one item.

    Attributes:
        status: `used`, `dropped` (good input that is not wanted, with a named reason) or `failed`.
        reason: short machine-readable name, e.g. `missing-slice`; None when used.
        detail: one sentence for people.
        samples: what to store.
        tables: rows for other tables by name (captions, facts, scopes, regions, splits, scores); those of a
            dropped item are stored too, such as the captions of a duplicate.
        masks: regions with a mask; like `tables`, those of a dropped item are stored too.
        parts: what of a used item is not stored; each is a row of the ledger under its own source or the item's, and
            with a failed one the item counts as failed, so that `--retry` does it again.
    """

    status: Status
    reason: str | None = None
    detail: str | None = None
    samples: tuple[Sample, ...] = ()
    tables: Mapping[str, list[Row]] = field(default_factory=dict)
    masks: tuple[Mask, ...] = ()
    parts: tuple[Part, ...] = ()


class Task(Protocol):
    """A stage of the pipeline.

    One that removes identities from DICOM may have the attribute `confidentiality_codes`: the codes of the profile and
    options that it follows (`voxtile.corpus.confidentiality.Code`), which the manifest then holds. One with the
    attribute `uses_gpu` runs in the very process that has a GPU, unsupervised. One whose inputs do not tell all of a
    file's content may have a method `written_since(item, moment)`: whether one of its files was written after a moment
    (seconds since the epoch); the summary then counts inputs that are taken for done and were.

    Examples:
        >>> from voxtile.engine.task import Item, Outcome, Task
        >>> class Lines:
        ...     name, version = "lines", "1"
        ...     def config(self):
        ...         return {}
        ...     def items(self):
        ...         return [Item(source=f"line {n}", inputs={"text": text}) for n, text in enumerate(["a nodule", ""])]
        ...     def process(self, item):
        ...         return Outcome("used") if item.inputs["text"] else Outcome("dropped", "empty", "it has no text")
        >>> task: Task = Lines()
        >>> [(item.source, task.process(item).status) for item in task.items()]
        [('line 0', 'used'), ('line 1', 'dropped')]
    """

    @property
    def name(self) -> str:
        """Short name, used in file names and manifests (`dicom`)."""

    @property
    def version(self) -> str:
        """Bumped whenever the output for the same input changes."""

    def config(self) -> Mapping[str, Any]:
        """JSON-able settings that change the output; hashed into every job's id. Holds no secret."""

    def items(self) -> Iterable[Item]:
        """The plan, in a deterministic order. Reads headers at most; raises InputError if there is nothing to do."""

    def process(self, item: Item) -> Outcome:
        """Do one item, in a worker. An InputError becomes a failed row; a crash or hang costs one row."""
