"""Times in file names, as series of plain rasters have them: `S2_20210614T101559.tif`, `openEO_2021-04-10Z.tif`."""

from __future__ import annotations

import re
from datetime import datetime

# What a pattern may hold of strftime's directives, by how many digits they stand for.
_DIGITS = {"%Y": 4, "%m": 2, "%d": 2, "%H": 2, "%M": 2, "%S": 2, "%j": 3}
_DIRECTIVE = re.compile(r"%.?")
# A day of 1970 to 2099 in eight digits, or in parts by one sign, and in neither case within a longer number.
_DAY = re.compile(r"(?<!\d)(?:19[7-9]\d|20\d\d)(?P<sign>[-_.]?)(?:0[1-9]|1[0-2])(?P=sign)(?:0[1-9]|[12]\d|3[01])(?!\d)")


def expression_of(pattern: str) -> re.Pattern[str]:
    """What a pattern such as `%Y-%m-%d` or `%Y%m%dT%H%M%S` finds in a name.

    Raises:
        ValueError: it has another directive, one twice, or none that says a day of a year.
    """
    directives = _DIRECTIVE.findall(pattern)
    unknown = next((one for one in directives if one not in _DIGITS), None)
    if unknown is not None:
        raise ValueError(f"'{unknown}' is none of {', '.join(_DIGITS)}")
    if len(set(directives)) < len(directives):
        raise ValueError("one of its directives stands twice")
    if not ({"%Y", "%m", "%d"} <= set(directives) or {"%Y", "%j"} <= set(directives)):
        raise ValueError("it says no day: it needs %Y, %m and %d, or %Y and %j")
    text, last = "", 0
    for found in _DIRECTIVE.finditer(pattern):
        text += re.escape(pattern[last : found.start()]) + rf"\d{{{_DIGITS[found.group()]}}}"
        last = found.end()
    return re.compile(rf"(?<!\d){text}{re.escape(pattern[last:])}(?!\d)")


def time_in_name(name: str, pattern: str) -> datetime | None:
    """The first time that a name has by a pattern; None where it has none.

    Raises:
        ValueError: see `expression_of`.

    Example:
        >>> time_in_name("S2_SR_20210614T101559_T32UPU.tif", "%Y%m%dT%H%M%S").isoformat()
        '2021-06-14T10:15:59'
    """
    for found in expression_of(pattern).finditer(name):
        try:
            return datetime.strptime(found.group(), pattern)
        except ValueError:  # digits that are no time: "20211399"
            continue
    return None


def day_in_name(name: str) -> str | None:
    """What looks like a day in a name, and the pattern that reads it; None where nothing does."""
    found = _DAY.search(name)
    return None if found is None else found["sign"].join(("%Y", "%m", "%d"))
