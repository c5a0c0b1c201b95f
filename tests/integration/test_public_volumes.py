"""From the official layout of a public set to figures, by the commands: build, facts, fit, evaluate."""

import csv
import json
import re
from pathlib import Path

import pytest
from tests.support.volume_sets import ct_rate

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus

PATIENTS = {"train": 8, "valid": 20}  # every second one has a nodule, by report and by label; a figure needs 10


def with_nodules_of_every_second(root):
    """Rewrite the reports and labels of a small CT-RATE."""
    for path in (*root.rglob("*_reports.csv"), *root.rglob("*_predicted_labels.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        for number, row in enumerate(rows):
            if "reports" in path.name:
                row[3] = "There is a pulmonary nodule." if number % 2 else "No pulmonary nodule. Lungs are clear."
                row[4] = "Pulmonary nodule." if number % 2 else "Normal chest."
            else:
                row[header.index("Lung nodule")] = str(number % 2)
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows])


@pytest.mark.sweep(ci=True)
@pytest.mark.slow
def test_ct_rate_is_built_read_trained_on_and_evaluated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{split}_{number}_a_1" for split, count in PATIENTS.items() for number in range(1, count + 1)]
    ct_rate(Path("CT-RATE"), tuple(names))
    with_nodules_of_every_second(Path("CT-RATE"))
    assert main(["build", "ct-rate", "CT-RATE", "corpus", "--workers", "2"]) == 0
    assert main(["facts", "corpus", "--from", "reports", "--engine", "inline"]) == 0
    facts = Corpus(Path("corpus")).table("facts").to_pylist()
    assert {("Lung nodule", "ct-rate"), ("pulmonary_nodule", "reports")} <= {
        (fact["concept"], re.split("[/@]", fact["source"])[0]) for fact in facts
    }
    argv = ["fit", "-c", "medical/ct", "--data.corpus", "corpus", "--trainer.max_steps", "2"]
    assert lightning_main([*argv, "--model.encoder.image.init_args.widths", "[4, 8, 16]"]) == 0  # an eighth of the work
    (checkpoint,) = Path("runs").rglob("last.ckpt")
    words = [
        "evaluate",
        str(checkpoint),
        "medical/ct-rate",
        "--corpus",
        "corpus",
        "--out",
        "report",
        "--bootstrap",
        "100",
    ]
    assert main(words) == 0
    result = json.loads(Path("report/results.json").read_text())
    task = result["provenance"]["tasks"]["medical/ct-rate"]
    assert (task["split"], task["sizes"]["test"]["subjects"]) == ("test", PATIENTS["valid"])
    assert result["provenance"]["model"]["leakage"].startswith("none of 20")
    assert "lung_nodule" in Path("report/results.csv").read_text()
