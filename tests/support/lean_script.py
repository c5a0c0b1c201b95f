"""Scripts in processes of their own, which import Lightning without what it can do without, as commands do."""

import sys

LEAN = [
    sys.executable,
    "-P",
    "-c",
    "import runpy, sys; from voxtile.lazy_packages import defer_packages; defer_packages(); del sys.argv[0]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')",
]
"""Words before those of a script: its path and its arguments."""
