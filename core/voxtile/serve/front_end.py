"""The pages as Vite built them; a wheel holds them, a checkout makes them by `make serve`."""

from __future__ import annotations

from pathlib import Path

from voxtile.errors import ConfigError

BUILT = Path(__file__).parent / "built"


def front_end(folder: Path = BUILT) -> Path:
    """Folder of the built pages.

    Raises:
        ConfigError: they are not built.
    """
    if not (folder / "index.html").is_file():
        raise ConfigError(
            "the pages of voxtile serve are not built; in a checkout run 'make serve' (it needs npm: apt-get install "
            "npm), or install a wheel of voxtile, which holds them"
        )
    return folder
