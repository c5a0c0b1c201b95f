"""Pages of the site that are no Markdown of docs/: README, CONTRIBUTING, notebooks, and the reference."""

from __future__ import annotations

import ast
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
FROM_ROOT = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
PACKAGES = {
    "voxtile.objectives": ROOT / "core/voxtile/objectives",
    "voxtile.models": ROOT / "core/voxtile/models",
    "voxtile.data": ROOT / "core/voxtile/data",
    "voxtile.training": ROOT / "core/voxtile/training",
    "voxtile.evaluation": ROOT / "core/voxtile/evaluation",
    "voxtile.assist": ROOT / "core/voxtile/assist",
    "voxtile_datasets": ROOT / "datasets/voxtile_datasets",
    "voxtile_medical": ROOT / "domains/medical/voxtile_medical",
    "voxtile_pathology": ROOT / "domains/pathology/voxtile_pathology",
    "voxtile_remote_sensing": ROOT / "domains/remote_sensing/voxtile_remote_sensing",
}
_LINK_WITH_TEXT = re.compile(r"\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    for source, page in FROM_ROOT.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text(encoding="utf-8")))
    for notebook in [file for file in files if file.src_uri.endswith(".ipynb")]:
        files.remove(notebook)
        cells = json.loads(notebook.content_string)["cells"]
        page = notebook.src_uri.removesuffix(".ipynb") + ".md"
        files.append(File.generated(config, page, content="\n\n".join(_cell(cell) for cell in cells)))
    files.append(File.generated(config, "reference/voxtile.md", content=_functions()))
    files.append(File.generated(config, "reference/domain.md", content=_modules()))
    for package, folder in PACKAGES.items():
        name = package.removeprefix("voxtile.")
        files.append(File.generated(config, f"reference/{name}.md", content=_classes(package, folder)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links as they are in the checkout lead to pages of the site; to a file that is no page, they become its path."""
    source = page.file.src_uri
    made = {page_name: name for name, page_name in FROM_ROOT.items()}
    here = posixpath.dirname(made.get(source, f"docs/{source}"))

    def lead(found: re.Match[str]) -> str:
        text, path, anchor = found[1], found[2], found[3] or ""
        target = posixpath.normpath(posixpath.join(here, path))
        if not (ROOT / target).exists():
            return found[0]  # mkdocs says that it leads nowhere
        on_site = FROM_ROOT.get(target) or (target.removeprefix("docs/") if target.startswith("docs/") else None)
        if on_site is None:
            return text if text.strip("`") == target else f"{text} (`{target}`)"
        on_site = re.sub(r"\.ipynb$", ".md", on_site)
        return f"[{text}]({posixpath.relpath(on_site, posixpath.dirname(source) or '.')}{anchor})"

    return _LINK_WITH_TEXT.sub(lead, markdown)


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    return f"```python\n{source}\n```" if cell["cell_type"] == "code" else source


def _functions() -> str:
    """The functions of `import voxtile`, by the table that loads them."""
    tree = ast.parse((ROOT / "core/voxtile/__init__.py").read_text(encoding="utf-8"))
    table = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_FUNCTIONS"
    )
    entries = [_entry(f"{module}.{name}", f"voxtile.{name}") for name, module in sorted(table.items())]
    return "\n\n".join(["# voxtile", *entries])


def _modules() -> str:
    names = ("voxtile.domain.Domain", "voxtile.domain.Command", "voxtile.engine.task.Task", "voxtile.types.Batch")
    return "\n\n".join(["# What plug-ins build on", *(_entry(name, name) for name in names)])


def _classes(package: str, folder: Path) -> str:
    return "\n\n".join(
        [f"# {package}", *(_entry(path, f"{package}.{name}") for name, path in _public(package, folder))]
    )


def _public(package: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Public name and full path of what a package offers, as its stub lists it."""
    tree = ast.parse((folder / "__init__.pyi").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module}" if node.module and node.level else node.module or package
            yield from ((alias.asname or alias.name, f"{module}.{alias.name}") for alias in node.names)


def _entry(path: str, heading: str) -> str:
    options = {"heading": heading, "show_root_heading": "true", "show_root_toc_entry": "true"}
    return "\n".join([f"::: {path}", "    options:", *(f"      {name}: {value}" for name, value in options.items())])
