"""From the official layout of a public set to figures, by the commands: build, facts, fit, evaluate."""

import csv
import json
from pathlib import Path

import pytest
from tests.support.volume_sets import ct_rate

from voxtile.cli.main import lightning_main, main
from voxtile.corpus.reader import Corpus

TASK = """
name: nodules
title: Lung nodules of CT-RATE
where: "kind = 'volume' AND modality = 'CT'"
facts_source: ct-rate
classes:
  Lung nodule:
    - {present: "There is a lung nodule.", absent: "There is no lung nodule."}
"""
PATIENTS = 8  # in each official split; every second one has a nodule, by report and by label


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


@pytest.mark.slow
def test_ct_rate_is_built_read_trained_on_and_evaluated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"{split}_{number}_a_1" for split in ("train", "valid") for number in range(1, PATIENTS + 1)]
    ct_rate(Path("CT-RATE"), tuple(names))
    with_nodules_of_every_second(Path("CT-RATE"))
    assert main(["build", "ct-rate", "CT-RATE", "corpus", "--workers", "2"]) == 0
    assert main(["facts", "corpus", "--from", "reports", "--engine", "inline"]) == 0
    facts = Corpus(Path("corpus")).table("facts").to_pylist()
    assert {("Lung nodule", "ct-rate@1"), ("pulmonary_nodule", "reports")} <= {
        (fact["concept"], fact["source"].split("/")[0]) for fact in facts
    }
    argv = ["fit", "-c", "medical/ct", "--data.corpus", "corpus", "--trainer.max_steps", "2"]
    assert lightning_main(argv) == 0
    (checkpoint,) = Path("runs").rglob("last.ckpt")
    Path("nodules.yaml").write_text(TASK)
    words = ["evaluate", str(checkpoint), "nodules.yaml", "--corpus", "corpus", "--out", "report", "--bootstrap", "50"]
    assert main(words) == 0
    (result,) = Path("report").glob("*.json")
    content = json.loads(result.read_text())
    assert "auroc" in json.dumps(content).lower()
