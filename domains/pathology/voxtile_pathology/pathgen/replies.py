"""Replies of an endpoint on disk, by the hash of the request."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voxtile.corpus.storage import write_atomically


class ReplyCache:
    """A folder of replies; several processes may share it.

    Args:
        root: the folder; made when the first reply is kept.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, digest: str) -> dict[str, Any] | None:
        """The reply to a request, or None where there is none or it is damaged.

        Args:
            digest: sha-256 of the request, hex.
        """
        try:
            content = json.loads(self._path(digest).read_bytes())
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and "received" in content else None

    def put(self, digest: str, content: dict[str, Any]) -> None:
        """Keep a reply."""
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps(content, sort_keys=True, ensure_ascii=False).encode())

    def _path(self, digest: str) -> Path:
        return self._root / digest[:2] / f"{digest}.json"
