"""What an installed voxtile consists of: a bill of materials, known vulnerabilities, licences.

`sbom` writes CycloneDX 1.6 of voxtile with all that its default install, or some of its extras, brings here: by
cyclonedx-py, which reads the metadata of what is installed, and without what else lies in the environment. `audit` asks
the advisories of PyPI about exactly these by pip-audit, which needs the internet, and says which licences do not allow
everybody to use, change and pass on the whole: those of the GPL family and those for non-commercial use.

Run: python benchmarks/supply_chain.py sbom|audit|licences [--extra medical --extra ray …] [--out build/sbom.json]
(`make sbom`, `make audit`)
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
OWN = "voxtile"
# The GPL family but for the LGPL, which a library may be under that is only imported; and what forbids some uses.
_UNFREE = re.compile(
    r"(?<!L)(?<!Lesser )(?<!Library or Lesser )\bA?GPL|(?<!Lesser )(?<!Library or Lesser )General Public Licen[cs]e"
    r"|Affero|non-?commercial|CC-BY-NC|academic use|research (?:use )?only|\bSSPL|BUSL",
    re.IGNORECASE,
)
# Licences that the metadata tell wrongly or not, each looked up where its maker states it.
STATED: Mapping[str, str] = {"cuda-toolkit": "NVIDIA Proprietary Software"}


def name_of(name: str) -> str:
    """A name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@cache
def closure(extras: tuple[str, ...] = ()) -> dict[str, Distribution]:
    """Distributions that an install brings, by their names; what is not installed here is left out.

    Args:
        extras: of voxtile; none for the default install.
    """
    found: dict[str, Distribution] = {}
    asked: set[tuple[str, str]] = set()
    waiting = [(OWN, extra) for extra in ("", *extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in asked:
            continue
        asked.add((name, extra))
        try:
            found[name] = found.get(name) or distribution(name)
        except PackageNotFoundError:
            continue
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if _is_wanted(requirement.marker, extra):
                waiting += [(name_of(requirement.name), own) for own in ("", *requirement.extras)]
    return found


def _is_wanted(marker: Marker | None, extra: str) -> bool:
    return marker is None or marker.evaluate({"extra": extra})


def licence_of(found: Distribution) -> str:
    """What a distribution says of its licence: the expression, the classifiers, else the first line of the text."""
    metadata = found.metadata
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classified = [c.rpartition(" :: ")[2] for c in metadata.get_all("Classifier") or () if c.startswith("License ::")]
    written = str(metadata.get("License") or "").strip().splitlines()
    told = [c for c in classified if c != "OSI Approved"] or written[:1]
    return " AND ".join(told) or STATED.get(name_of(str(metadata["Name"])), "")


def unfree(licence: str) -> bool:
    """Whether a licence is one that the default install must not bring; a choice that holds a free one is free."""
    return all(_UNFREE.search(choice) for choice in re.split(r"\bOR\b", licence))


def refused(installed: Mapping[str, Distribution]) -> dict[str, str]:
    """Of some distributions, those whose licence is not free or not stated, with what they state."""
    licences = {name: licence_of(found) for name, found in installed.items()}
    return {name: licence for name, licence in licences.items() if not licence or unfree(licence)}


def sbom(extras: tuple[str, ...], out: Path) -> int:
    """Write the bill of materials; the number of its components.

    Raises:
        SystemExit: cyclonedx-py is not installed, or fails.
    """
    wanted = closure(extras)
    command = [sys.executable, "-P", "-m", "cyclonedx_py", "environment", "--pyproject", str(ROOT / "pyproject.toml"),
               "--sv", "1.6", "--mc-type", "application", "--output-reproducible", sys.executable]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"cyclonedx-py failed; pip install -e '.[security]' first: {done.stderr.strip()[-300:]}")
    content: dict[str, Any] = json.loads(done.stdout)
    kept = [part for part in content["components"] if name_of(part["name"]) in wanted and name_of(part["name"]) != OWN]
    refs = {part["bom-ref"] for part in kept} | {content["metadata"]["component"]["bom-ref"]}
    content["components"] = [_with_licence(part, wanted[name_of(part["name"])]) for part in kept]
    content["dependencies"] = [
        {**entry, "dependsOn": [ref for ref in entry.get("dependsOn", ()) if ref in refs]}
        for entry in content["dependencies"]
        if entry["ref"] in refs
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(content, indent=1) + "\n")
    return len(kept)


def _with_licence(part: dict[str, Any], found: Distribution) -> dict[str, Any]:
    """A component with a licence by name where the tool has found none; without paths of this machine."""
    named = {} if part.get("licenses") else {"licenses": [{"license": {"name": licence_of(found) or "not stated"}}]}
    return {key: value for key, value in part.items() if key != "externalReferences"} | named


def audit(extras: tuple[str, ...]) -> int:
    """Ask about known vulnerabilities of what is installed; pip-audit's exit status.

    Raises:
        SystemExit: pip-audit is not installed, or the advisories cannot be reached.
    """
    pinned = sorted(f"{name}=={found.version}" for name, found in closure(extras).items() if name != OWN)
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as listed:
        listed.write("\n".join(pinned) + "\n")
        listed.flush()
        command = [sys.executable, "-P", "-m", "pip_audit", "--disable-pip", "--no-deps", "--requirement", listed.name,
                   "--progress-spinner", "off", "--timeout", "20"]  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    said = done.stderr + done.stdout
    if "No module named" in said:
        raise SystemExit("the audit needs pip-audit: pip install -e '.[security]'")
    if said.count("could not be audited") == len(pinned) or re.search(
        r"Connection|resolve|Max retries|ServiceError|timed out|VulnServiceException", said
    ):
        raise SystemExit(
            f"not audited: the advisories of PyPI cannot be reached from here; run 'make audit' where the internet is "
            f"({len(pinned)} packages)"
        )
    print(said.strip())
    return done.returncode


def main() -> None:
    """Run one of the three; status 1 where a licence or a vulnerability stands against the install."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("sbom", "audit", "licences"))
    parser.add_argument("--extra", action="append", default=[], help="of voxtile; may be given several times")
    parser.add_argument("--out", type=Path, default=Path("build/sbom.json"), help="of `sbom`")
    options = parser.parse_args()
    extras = tuple(options.extra)
    if options.what == "sbom":
        print(f"{options.out}: {sbom(extras, options.out)} components")
        return
    against = refused(closure(extras))
    for name, licence in sorted(against.items()):
        print(f"{name}: {licence or 'states no licence'}")
    if not against:
        print(f"licences: nothing of {len(closure(extras))} packages is against the Apache licence of the whole")
    status = audit(extras) if options.what == "audit" else 0
    sys.exit(1 if against or status else 0)


if __name__ == "__main__":
    main()
