"""The set of planted caption faults is frozen: its files have the hashes that its README states."""

import hashlib
import json
import re
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
from tests.benchmark_script import benchmark_script

from voxtile.errors import InputError

SET = Path(__file__).parents[2] / "benchmarks" / "caption_faults"
FROZEN = {
    "development.jsonl": "7709035e1d6259a1f25c32b2fbf6edc3b956cb99b7d8f718d0b8f542ac5ba226",
    "hidden.jsonl": "a02d678418cca1b58a22e35cd3452fde0c3c7dad87554049e24334e5ea2d6ac4",
}


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return benchmark_script("caption_faults")


@pytest.mark.parametrize("name", FROZEN)
def test_frozen_file_and_readme_agree(name: str) -> None:
    assert hashlib.sha256((SET / name).read_bytes()).hexdigest() == FROZEN[name]
    stated = re.findall(rf"`{re.escape(name)}` \| `([0-9a-f]{{64}})`", (SET / "README.md").read_text(encoding="utf-8"))
    assert stated == [FROZEN[name]]


def test_halves_share_no_entry_and_no_source_sentence() -> None:
    entries = [
        [json.loads(line) for line in (SET / name).read_text(encoding="utf-8").splitlines()[1:]] for name in FROZEN
    ]
    for key in ("id", "source"):
        first, second = ({json.dumps(entry[key]) for entry in half if entry[key]} for half in entries)
        assert first
        assert not first & second


def test_the_set_is_as_large_and_as_much_from_outside_as_it_says(benchmark: ModuleType, test_data: Path) -> None:
    items = [item for name in FROZEN for item in benchmark.items(SET / name, test_data)]
    by_type = Counter(item.fault for item in items)
    assert by_type.pop(None) >= 300
    assert len(by_type) == 8
    assert min(by_type.values()) >= 40
    for chosen in ([i for i in items if i.fault], [i for i in items if not i.fault]):
        assert sum(i.origin == "outside" for i in chosen) >= len(chosen) / 2
    faithful = {(i.entry, i.text) for i in items if not i.fault}
    assert not faithful & {(i.entry, i.text) for i in items if i.fault}


def test_a_sentence_that_changed_or_is_missing_is_refused(benchmark: ModuleType, test_data: Path) -> None:
    source = {"dataset": "iu_cxr_reports", "record": "1", "field": "findings", "sentence": 1, "sha256": "0" * 64}
    with pytest.raises(InputError, match="hash differs"):
        benchmark.source_sentence(source, test_data)
    with pytest.raises(InputError, match="is not in"):
        benchmark.source_sentence({**source, "sentence": 999}, test_data)
