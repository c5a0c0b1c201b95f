"""Pyarrow without pandas, in processes of our own: commands and their workers."""

from __future__ import annotations

import sys


def spare_pandas() -> None:
    """Have pyarrow do without pandas, unless it is there already.

    Pyarrow imports pandas, where it is installed, before it converts the first Python value, since that could be one of
    pandas' own: a quarter of a second of every process. Whether it is there is asked once, and here the answer is no;
    `Table.to_pandas` asks again.
    """
    if "pyarrow" not in sys.modules or "pandas" in sys.modules:
        return
    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        sys.modules["pyarrow"].array([None])
    finally:
        sys.meta_path.remove(hidden)


class _Hidden:
    """A finder that says that pandas is not installed."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        """See `importlib.abc.MetaPathFinder`."""
        if name == "pandas":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
