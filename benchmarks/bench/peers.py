"""Environments of peers: made by pip once, kept, and refused by name where they cannot be made."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from bench.comparisons import PEERS, Peer

READY = "voxtile-bench-ready"  # a file in an environment that is whole


class PeerError(Exception):
    """An environment that cannot be made; the sentence says why."""


def environment(name: str, folder: Path) -> Path:
    """The Python of a peer's environment, made if it is not there yet.

    Args:
        name: of `PEERS`.
        folder: where environments are kept.

    Raises:
        PeerError: pip fails; the sentence names the peer and pip's last words.
    """
    peer, home = PEERS[name], folder / name
    python = home / "bin" / "python"
    if (home / READY).is_file() and (home / READY).read_text() == wanted(peer) and python.exists():
        return python
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)], name)
    if peer.above:
        site = next(home.glob("lib/python*/site-packages"))
        (site / "voxtile-above.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{_own_paths()}")
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *peer.packages], name)
    (home / READY).write_text(wanted(peer))
    return python


def wanted(peer: Peer) -> str:
    """What an environment was made of."""
    return "\n".join((sys.version, str(peer.above), *peer.packages))


def program(name: str, python: Path) -> Path:
    """What a script is given to call the peer: a program of its environment, or its Python."""
    found = python.with_name(PEERS[name].program or "python")
    if not found.exists():
        raise PeerError(f"{name}: its packages hold no program '{PEERS[name].program}'")
    return found


def version(name: str, python: Path) -> str | None:
    """Version of the peer in its environment."""
    if (package := PEERS[name].named) is None:
        return None
    code = "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))"
    done = subprocess.run([str(python), "-c", code, package], capture_output=True, text=True, check=False)
    return f"{package} {done.stdout.strip()}" if not done.returncode else None


def _own_paths() -> str:
    """What puts this checkout on the path of this environment, so that it is there in one above it."""
    own = [path for path in sys.path if path and Path(path).is_dir()]
    standard = {sysconfig.get_paths()[key] for key in ("stdlib", "platstdlib")}
    return "\n".join(path for path in own if path not in standard and not path.endswith("lib-dynload")) + "\n"


def _run(command: list[str], name: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        said = next((line for line in lines if line.startswith("ERROR")), lines[-1] if lines else "no message")
        raise PeerError(f"the peer {name} cannot be installed ({' '.join(PEERS[name].packages)}): {said[:300]}")
