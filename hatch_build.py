"""Build hook: ship each domain's YAML configs and task files inside the wheel.

They live beside the package (`domains/medical/ct.yaml`) so that people find them; in a wheel they go to
`voxtile_medical/_files/`. Editable installs read them where they are.
"""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DomainFiles(BuildHookInterface):
    """Adds `domains/<name>/*.yaml` and the folders of YAML files beside them to the wheel."""

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
