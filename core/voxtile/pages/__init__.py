"""What every HTML page of voxtile shares: one layout, one style sheet for light and dark, one way to fill a template.

A page is one file that needs no network and no script. Its template extends `layout.html.j2` and adds rules of its own
in the block `style`; colours are named in `colours.css` and nowhere else, so that their contrast can be checked.
"""

from __future__ import annotations

import re

import markupsafe
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined


def page_environment(*packages: str, escape: bool = True) -> Environment:
    """Templates of packages, each in its folder `templates`, beside those that all pages share.

    Numbers get their commas by the filter `number`; sentences that name commands in backticks go through `prose`.

    Args:
        packages: such as `voxtile.stages.inspect`; of templates of one name the first package's counts.
        escape: for HTML; false for text.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(name, "templates") for name in (*packages, __name__)]),
        autoescape=escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["prose"] = prose
    return environment


def prose(text: str) -> markupsafe.Markup:
    """Text as HTML, escaped, with what stands between backticks as code."""
    return markupsafe.Markup(re.sub(r"`([^`\n]+)`", r"<code>\1</code>", str(markupsafe.escape(text))))
