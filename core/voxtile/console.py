"""Where commands print their answers."""

from __future__ import annotations

import os

from rich.console import Console

_PIPED = 1000  # columns: more than any table needs


def output() -> Console:
    """Standard output; where it is no terminal, so wide that no table is squeezed, unless COLUMNS says how wide it is.

    Rich takes a pipe for 80 columns wide, and gives up the names of rows first.
    """
    console = Console()
    if not console.is_terminal and not console.is_jupyter and not os.environ.get("COLUMNS", "").isdigit():
        return Console(width=_PIPED)
    return console
