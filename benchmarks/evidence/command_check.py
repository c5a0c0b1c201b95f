"""A training in this process against the same config through `lightning fit`: the weights must be equal to the bit."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import yaml
from runs import Runs
from study import Study
from training import as_config, train


def check_command(runs: Runs, study: Study) -> str:
    """Train an epoch of a study both ways.

    Raises:
        SystemExit: the command failed, or some weights differ.
    """
    arm, corpus = replace(study.with_, epochs=1), runs.corpus(study.corpus)
    here = train(arm, corpus, 0).state_dict()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(yaml.safe_dump({**as_config(arm, corpus, 0), "name": "evidence"}), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "voxtile.cli.main", "fit", "-c", str(config)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"lightning fit failed:\n{done.stderr[-3000:]}")
        there = torch.load(next(Path(folder).rglob("last.ckpt")), weights_only=True)["state_dict"]
    different = [name for name, value in here.items() if not torch.equal(value, there[name])]
    if different or set(here) != set(there):
        raise SystemExit(f"{len(different)} of {len(here)} tensors differ: {', '.join(different[:5])}")
    return f"{study.name}: {len(here)} tensors equal to those of lightning fit"
