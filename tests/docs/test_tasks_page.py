"""docs/tasks.md lists each task that ships, once, and none that does not."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("domain", ["medical", "pathology", "remote_sensing"])
def test_the_page_lists_the_tasks_that_ship(domain):
    page = (ROOT / "docs/tasks.md").read_text(encoding="utf-8")
    listed = [
        name.removeprefix(f"{domain}/")
        for row in re.findall(rf"^\| (`{domain}/.*?) \|", page, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", row)
    ]
    shipped = [path.stem for path in (ROOT / f"domains/{domain}/tasks").glob("*.yaml")]
    assert Counter(listed) == Counter(shipped)
