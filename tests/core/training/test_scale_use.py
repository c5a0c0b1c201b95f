"""No objective takes one scale for those of several sources: it reads none, knows of several, or is refused by name."""

import json
from pathlib import Path

from forked_script import run_script

SCRIPT = Path(__file__).with_name("scale_use.py")


def test_objectives_that_read_one_scale_are_refused_where_sources_mix(training_nursery, tmp_path):
    table = json.loads(run_script(training_nursery, tmp_path, SCRIPT).splitlines()[-1])
    assert sum(refused for _, refused in table.values()) >= 12
    for name, (reads, refused) in table.items():
        assert refused == (reads and not name.startswith(("Contrastive", "OfSamples"))), name
