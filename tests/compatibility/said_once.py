"""Digests of every shipped config and task with all that it takes from elsewhere: bases, voices.

    python -P tests/compatibility/said_once.py tests/compatibility/said_once.json

wrote what was there before anything was shared between files; it is written again when a config or task is meant to
change.
"""

import hashlib
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from voxtile.domain import discover
from voxtile.evaluation.tasks.file import read_task
from voxtile.training.config_bases import read_config


def configs() -> dict[str, Path]:
    """Every shipped config by `domain/name`."""
    return {
        f"{domain.name}/{name}": path
        for domain in discover()[0].values()
        for name, path in (domain.configs() | domain.production_configs()).items()
    }


def config_digest(path: Path) -> str:
    """Of a config's values. Of mappings only the order of objectives says anything: they are made and summed in it."""
    config = read_config(path)
    model = config["model"]
    return _digest({**config, "model": {**model, "objectives": list(model["objectives"].items())}})


def tasks() -> dict[str, Path]:
    """Every shipped task by `domain/name`."""
    return {f"{d.name}/{name}": path for d in discover()[0].values() for name, path in d.tasks().items()}


def task_digest(path: Path) -> str:
    """Of a task's keys, its classes in their order, each with the title and concept that the parser gives it."""
    task = read_task(path)
    if isinstance(task.get("classes"), str):  # those of the corpus
        return _digest(task)
    classes = [
        {"name": name, "title": re.sub("[-_]", " ", name).capitalize(), "concept": name, **(fields or {})}
        for name, fields in task.get("classes", {}).items()
    ]
    return _digest({**task, "classes": classes})


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def digests() -> dict[str, dict[str, str]]:
    """All of them, by what they are and by name."""
    return {
        "configs": {name: config_digest(path) for name, path in sorted(configs().items())},
        "tasks": {name: task_digest(path) for name, path in sorted(tasks().items())},
    }


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(digests(), indent=1) + "\n")
