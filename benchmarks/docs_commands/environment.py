"""The environment under test: a wheel of the checkout in a virtual environment, with nothing of the checkout itself."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Environment:
    """A virtual environment with the wheel installed.

    Attributes:
        folder: of the environment.
        wheel: that was installed.
        work: folder below which commands run.
    """

    folder: Path
    wheel: Path
    work: Path

    def variables(self, endpoint: str) -> dict[str, str]:
        """What commands see: a path that begins with the environment, a cache of their own, and no network of models.

        Args:
            endpoint: address of the practice endpoint.
        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VOXTILE_", "PYTHON"))}
        real = {name: os.environ[name] for name in ("VOXTILE_TEST_DATA",) if name in os.environ}
        own = {
            "PATH": f"{self.folder / 'bin'}:{kept.get('PATH', '')}",
            "VOXTILE_CACHE": str(self.work / "cache"),
            "HF_HUB_OFFLINE": "1",
            "ENDPOINT": endpoint,
            "WHEEL": str(self.wheel),
            "BASH_FUNC_made%%": f'() {{ python {HERE / "made.py"} "$@"; }}',
            "COLUMNS": "160",
        }
        return kept | real | own


def prepare(root: Path, work: Path, venv: Path | None) -> Environment:
    """Build the wheel, and install it with all extras.

    Args:
        root: of the checkout.
        work: where the wheel and, without `venv`, the environment go.
        venv: an environment that exists; only voxtile itself is installed into it.
    """
    folder = (venv or work / "venv").resolve()
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    wheels = work / "wheel"
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", str(wheels), str(root)], check=True, cwd=work)
    wheel = max(wheels.glob("voxtile-*.whl"), key=lambda path: path.stat().st_mtime)
    if venv is None:
        subprocess.run([*pip, "install", f"{wheel}[all]"], check=True, cwd=work)
    else:
        subprocess.run([*pip, "install", "--no-deps", "--force-reinstall", str(wheel)], check=True, cwd=work)
    where = "import voxtile, pathlib; print(pathlib.Path(voxtile.__file__).resolve())"
    found = subprocess.run([str(python), "-c", where], check=True, cwd=work, capture_output=True, text=True).stdout
    if Path(found.strip()).is_relative_to(root):
        sys.exit(f"{python} takes voxtile from the checkout ({found.strip()}); give another --venv")
    return Environment(folder, wheel, work)
