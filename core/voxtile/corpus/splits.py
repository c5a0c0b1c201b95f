"""Splits by subject: train, val or test is a pure function of the subject's name."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping

from voxtile.corpus.identity import printable
from voxtile.errors import ConfigError

# Spellings of the splits in public datasets.
SPLIT_NAMES: Mapping[str, str] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip


def splits_of_files(paths: Iterable[str]) -> dict[str, str]:
    """Splits by folders (`train/0.tar`) or beginnings of names (`validation-00000-of-00002.parquet`).

    Args:
        paths: relative, with forward slashes.

    Returns:
        Path → split, of those that are named so; nothing where fewer than two splits are.
    """
    found: dict[str, str] = {}
    for path in paths:
        *folders, name = path.lower().split("/")
        words = (*folders, re.split(r"[-_.]", name)[0])
        split = next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), None)
        if split is not None:
            found[path] = split
    return found if len(set(found.values())) > 1 else {}


def split_of(subject: str, fractions: Mapping[str, float], salt: str = "voxtile") -> str:
    """Choose the split of a subject.

    The same subject goes to the same split in every run, corpus and order; with another salt the choice is independent.

    Args:
        subject: patient, slide or place.
        fractions: split name → share; the shares sum to 1.
        salt: names an independent partition.

    Raises:
        ConfigError: the fractions are negative or do not sum to 1.
    """
    _check(fractions)
    digest = hashlib.sha256(f"{salt}\0{printable(subject)}".encode()).digest()
    position = int.from_bytes(digest[:8], "big") / 2**64  # uniform in [0, 1)
    upper = 0.0
    for name, share in fractions.items():
        upper += share
        if position < upper:
            return name
    return [name for name, share in fractions.items() if share > 0][-1]  # rounding left the sum just under 1


def parse_fractions(text: str) -> dict[str, float]:
    """Read `0.8,0.1,0.1` as the shares of train, val and test.

    Raises:
        ConfigError: not three numbers that sum to 1.
    """
    try:
        train, val, test = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ConfigError(f"--split-fractions must be three numbers such as 0.8,0.1,0.1, not {text!r}") from error
    fractions = {"train": train, "val": val, "test": test}
    _check(fractions, "--split-fractions")
    return fractions


def _check(fractions: Mapping[str, float], what: str = "split fractions") -> None:
    shares = list(fractions.values())
    if not shares or not all(0 <= share <= 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise ConfigError(f"{what} must lie in 0–1 and sum to 1, got {dict(fractions)}")
