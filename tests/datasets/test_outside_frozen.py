"""The outside benchmarks are frozen: their halves have the hashes that `frozen.json` states, and share no entry."""

import hashlib
import json
from pathlib import Path

import pytest
from tests.benchmark_script import BENCHMARKS, benchmark_script

SET = Path(__file__).parents[2] / "benchmarks" / "outside"
FROZEN = json.loads((SET / "frozen.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", sorted(FROZEN))
def test_a_half_is_the_one_that_was_labelled(name: str) -> None:
    assert hashlib.sha256((SET / f"{name}.jsonl").read_bytes()).hexdigest() == FROZEN[name]


@pytest.mark.parametrize(("kind", "fewest"), [("reports", 450), ("captions", 100)])
def test_halves_are_of_one_size_and_share_no_entry_and_no_text(kind: str, fewest: int) -> None:
    halves = [
        [json.loads(line) for line in (SET / kind / f"{half}.jsonl").read_text(encoding="utf-8").splitlines()]
        for half in ("develop", "test")
    ]
    assert min(map(len, halves)) >= fewest
    assert abs(len(halves[0]) - len(halves[1])) <= 20
    ids, texts = ([{entry[key] for entry in half if key in entry} for half in halves] for key in ("id", "text"))
    assert not ids[0] & ids[1]
    assert not texts[0] & texts[1]


@pytest.mark.parametrize("kind", ["reports", "captions"])
def test_every_label_was_given_twice(kind: str) -> None:
    for half in ("develop", "test"):
        for line in (SET / kind / f"{half}.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            assert all("second" in row for row in entry.get("says", entry.get("captions", ())))


def test_no_training_draws_a_caption_that_denies_a_tumour_or_names_another_modality(monkeypatch, test_data):
    """By the default, which leaves out `contradicted` alone."""
    monkeypatch.syspath_prepend(str(BENCHMARKS / "outside"))
    found = [
        (caption.id, verdict.verdict)
        for _, caption, _, verdict in benchmark_script("outside/in_training").false_captions()
    ]
    assert len(found) >= 100
    assert {name for name, verdict in found if verdict != "contradicted"} == set()
