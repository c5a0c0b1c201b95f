"""`voxtile new-domain`: write a package that adds a domain, whose every part works and is tested."""

from __future__ import annotations

import importlib.util
import keyword
import re
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from voxtile.console import output
from voxtile.domain import discover
from voxtile.errors import ConfigError
from voxtile.folders import under_output_root

_SUFFIX = ".j2"
_LONGEST = 24  # letters of a name; with longer ones the lines of the code would be too long
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def new_domain(name: str, *, out: Path | None = None) -> None:
    """Write a package that adds a domain to voxtile: converter, preset, tower, objective, config, task and tests.

    It works as it is, on arrays in .npy files; its README.md says what each file is, and CONTRIBUTING.md what each part
    owes.

    Args:
        name: of the domain, in lower case: letters, digits and _.
        out: folder of the package, which must not exist; voxtile-NAME here where left out.

    Raises:
        ConfigError: a name that cannot be one or is taken, or a folder that exists.
    """
    package = f"voxtile_{name}"
    _check(name, package)
    distribution = package.replace("_", "-")
    folder = under_output_root(Path(distribution)) if out is None else out
    if folder.exists():
        raise ConfigError(f"'{folder}' exists already; name a new folder with --out")
    camel = "".join(part.capitalize() for part in name.split("_"))
    words = {"name": name, "package": package, "distribution": distribution, "camel": camel}
    _write(files("voxtile.cli.new_domain") / "template", folder, words)
    steps = f"pip install -e '{folder}[dev]', then python -m pytest '{folder}'"
    output().print(
        f"wrote the domain '{name}' to '{folder}'; next: {steps}", markup=False, highlight=False, soft_wrap=True
    )


def _check(name: str, package: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > _LONGEST or keyword.iskeyword(name):
        raise ConfigError(
            f"'{name}' cannot be the name of a domain: it begins with a lower-case letter, goes on with such, digits "
            f"and single _, has at most {_LONGEST} of them, and is no word of Python's own; for example: microscopy"
        )
    domains, broken = discover()
    if name in domains or name in {plugin.name for plugin in broken}:
        raise ConfigError(f"the name '{name}' is taken by an installed domain ('voxtile domains'); choose another")
    if importlib.util.find_spec(package) is not None:
        raise ConfigError(f"there is an installed package '{package}' already; choose another name")


def _write(template: Traversable, folder: Path, words: dict[str, str]) -> None:
    """Fill in a folder of templates; `PACKAGE` and `NAME` in their names too."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    folder.mkdir(parents=True)
    for entry in sorted(template.iterdir(), key=lambda entry: entry.name):
        target = folder / entry.name.removesuffix(_SUFFIX).replace("PACKAGE", words["package"]).replace(
            "NAME", words["name"]
        )
        if entry.is_dir():
            _write(entry, target, words)
        else:
            text = environment.from_string(entry.read_text(encoding="utf-8")).render(words)
            target.write_text(text, encoding="utf-8")
