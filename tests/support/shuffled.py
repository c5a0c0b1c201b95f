"""`pytest -p shuffled`: files in another order, and the tests of each; who needs what another has left behind fails.

SHUFFLED=7 pytest -p shuffled tests/core draws the order of the seed 7. A file whose tests go on from each other is
marked `in_order`.
"""

import os
import random

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put them in the order of the seed."""
    rng = random.Random(int(os.environ.get("SHUFFLED", "0")))
    files: dict[object, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    order = list(files.values())
    rng.shuffle(order)
    for tests in order:
        if not tests[0].get_closest_marker("in_order"):
            rng.shuffle(tests)
    items[:] = [item for tests in order for item in tests]
