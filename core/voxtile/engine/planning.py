"""Listing a task's items in a supervised process, for plans that read tables and lists from outside."""

from __future__ import annotations

from collections.abc import Iterator

import voxtile.errors
from voxtile.engine.failure import LOST, Failure, how_lost
from voxtile.engine.parallel import PlanReader
from voxtile.engine.task import Item, Task
from voxtile.errors import InputError, MissingExtraError, VoxtileError


def list_apart(task: Task, reader: PlanReader) -> list[Item]:
    """The items of a task whose plan reads what nobody vouches for: JSON, spreadsheets, HDF5, Parquet.

    One process lists them all, so that what outgrows the limits ends the plan by a sentence and not the machine.

    Args:
        task: holds nothing that a worker process may not have.
        reader: with the limits of the conversion; the time limit is for one item of the list.

    Raises:
        InputError: the plan takes more than the limits.
        VoxtileError: what the task itself raises.
        RuntimeError: it raises something else.
    """
    if not reader.workers:
        return list(task.items())
    found = reader.read(_items_of, task, title="listing")
    if not isinstance(found, Failure):
        return list(found)
    if found.reason in LOST:
        raise InputError(
            f"listing the inputs of '{task.name}' {how_lost(found)}; if the download is sound, raise "
            "--memory-limit-gb or --time-limit-s"
        )
    kind = getattr(voxtile.errors, found.error_class, None)
    if isinstance(kind, type) and issubclass(kind, VoxtileError) and kind is not MissingExtraError:
        raise kind(found.sentence)
    raise InputError(found.sentence) if kind else RuntimeError(found.sentence)


def _items_of(task: Task) -> Iterator[Item]:
    yield from task.items()
