"""`python benchmarks/outside reports|polarities|captions|model|training [--half H] [--show]`; see README.md."""

from __future__ import annotations

import sys

import check_captions
import in_training
import model_reader
import polarities
import read_reports

PARTS = {
    "polarities": polarities.main,
    "reports": read_reports.main,
    "captions": check_captions.main,
    "model": model_reader.main,
    "training": in_training.main,
}

if __name__ == "__main__":
    part = sys.argv.pop(1) if len(sys.argv) > 1 else ""
    if part not in PARTS:
        sys.exit(
            "usage: python benchmarks/outside reports|polarities|captions|model|training [--half develop|test] [--show]"
        )
    PARTS[part]()
