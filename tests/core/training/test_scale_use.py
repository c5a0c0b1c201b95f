"""No objective takes one scale for those of several sources: it reads none, knows of several, or is refused by name."""

import json
import os
import subprocess
from pathlib import Path

from lean_script import LEAN

SCRIPT = Path(__file__).with_name("scale_use.py")


def test_objectives_that_read_one_scale_are_refused_where_sources_mix():
    done = subprocess.run(
        [*LEAN, str(SCRIPT)],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([str(SCRIPT.parent), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert sum(refused for _, refused in table.values()) >= 12
    for name, (reads, refused) in table.items():
        assert refused == (reads and not name.startswith(("Contrastive", "OfSamples"))), name
