"""Build hook: ship each domain's YAML configs and task files, and the pages of `voxtile serve`, inside the wheel.

The YAML files live beside the package (`domains/medical/ct.yaml`) so that people find them; in a wheel they go to
`voxtile_medical/_files/`. Editable installs read them where they are.

The pages are what Vite builds of `core/voxtile/serve/web`. A checkout makes them by `make serve`; building a wheel
makes them where they are not there and npm is. Without npm a wheel has none, and `voxtile serve` says how to get them.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PAGES = Path("core", "voxtile", "serve", "built")
WITHOUT_PAGES = "VOXTILE_WITHOUT_PAGES"
"""Variable of the environment: if it is set, a wheel gets the pages only if they are built already."""


class PackagedFiles(BuildHookInterface):
    """Adds `domains/<name>/*.yaml`, the folders of YAML files beside them and the built pages to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Register the files to include; `version` is "editable" for a development install."""
        if version == "editable":
            return
        for domain in sorted(Path(self.root, "domains").iterdir()):
            package = f"voxtile_{domain.name}"
            if not (domain / package).is_dir():
                continue
            folders = [domain, *(domain / name for name in ("production", "bases", "tasks", "voices"))]
            for file in [file for folder in folders for file in sorted(folder.glob("*.yaml"))]:
                relative = file.relative_to(domain)
                build_data["force_include"][str(file)] = f"{package}/_files/{relative}"
        self._add_pages(build_data)

    def _add_pages(self, build_data: dict[str, Any]) -> None:
        built, sources = Path(self.root, PAGES), Path(self.root, PAGES.parent, "web")
        npm = shutil.which("npm")
        if not (built / "index.html").is_file() and npm and not os.environ.get(WITHOUT_PAGES) and sources.is_dir():
            for command in (["ci"], ["run", "build"]):
                if subprocess.run([npm, *command], cwd=sources, check=False).returncode:
                    self.app.display_warning(f"npm {command[0]} failed; the wheel has no pages for voxtile serve")
                    return
        if (built / "index.html").is_file():
            build_data["force_include"][str(built)] = "voxtile/serve/built"
        else:
            self.app.display_warning("no npm: the wheel has no pages for voxtile serve")
