"""What the normal look of a part of the body denies, by the kind of normality that is said of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

# Names of findings that are of size: "of normal width" denies these, and no stone.
_OF_SIZE = re.compile(
    r"enlarg|megal|dilat|small_|aneurysm|hydro|atroph|swell|thicken|widen|goit|ectas|oedema|edema|hypertroph"
    r"|distension|obstruct|effusion|adenopathy|volume|inflation"
)


def denied_by_normality(entry: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """What each kind of normality denies; a normal size those of what `normal` does that are of size.

    Args:
        entry: `closes` of a part of the body in a vocabulary file, kind of normality → concepts.
    """
    closes = {kind: tuple(concepts) for kind, concepts in entry.items()}
    if "normal" not in closes:
        return closes
    sizes = tuple(name for name in closes["normal"] if _OF_SIZE.search(name))
    return {"normal_size": sizes, "well": closes["normal"], **closes}
