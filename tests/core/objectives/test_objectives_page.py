"""Every example of the page on objectives makes what it shows, and its table is right about it."""

import re
from pathlib import Path

import jsonargparse
import yaml

from voxtile.objectives.base import Objective

PAGE = (Path(__file__).parents[3] / "docs" / "objectives.md").read_text("utf-8")


def test_every_example_can_be_made_and_has_its_row():
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--objectives", type=dict[str, Objective])
    told = set()
    for example in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL):
        made = parser.instantiate(parser.parse_object(yaml.safe_load(example))).objectives
        told |= {type(objective) for objective in made.values()}
    assert len(told) > 7
    for kind in told:
        row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{kind.__name__}`"))
        refused = bool(kind.needs - {"pooled", "facts"})
        assert row.split("|")[4].strip() == ("no" if refused else "yes"), kind.__name__
