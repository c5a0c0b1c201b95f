"""Garbage is not looked for while a command is imported, and all is as it was afterwards."""

import gc
import subprocess
import sys
from contextlib import suppress

import pytest

from voxtile.processors import nothing_collected

COUNTED = """
import gc
from voxtile.cli.main import main
print(main(["doctor"]), gc.isenabled(), gc.get_freeze_count() > 10_000)
"""


def test_what_was_imported_for_a_command_is_not_looked_through_while_it_works():
    done = subprocess.run([sys.executable, "-P", "-c", COUNTED], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0 True True", done.stdout + done.stderr


@pytest.mark.parametrize("enabled", [True, False])
def test_collection_is_as_it_was_also_after_an_error(enabled):
    (gc.enable if enabled else gc.disable)()
    try:
        with suppress(ValueError), nothing_collected():
            during = gc.isenabled()
            raise ValueError
        assert not during
        assert gc.isenabled() is enabled
    finally:
        gc.enable()


def test_what_is_kept_is_counted_once_in_a_process(monkeypatch):
    """It is walked through, which took most of the time of a command in a process that has read much."""
    with nothing_collected(to_the_end=True):
        pass
    counted = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: counted.append(1) or 0)
    monkeypatch.setattr(gc, "freeze", lambda: counted.append(2))
    with nothing_collected(to_the_end=True):
        pass
    assert counted == []
