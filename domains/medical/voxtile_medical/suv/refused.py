"""Why no SUV is computed: a stable name, the tag, and a sentence."""

from __future__ import annotations


class SuvRefusedError(Exception):
    """A SUV cannot be computed without guessing.

    Args:
        reason: short machine-readable name: `missing-tag`, `contradictory-tags`, `implausible-value`, `unsupported`.
        tag: the tag (or tags) that is to blame, as `named` gives it.
        detail: one sentence for people; holds no identifier.
    """

    def __init__(self, reason: str, tag: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.tag = tag
        self.detail = detail


def named(keyword: str) -> str:
    """A tag as people look it up.

    >>> named("PatientWeight")
    'PatientWeight (0010,1030)'
    """
    from pydicom.datadict import tag_for_keyword

    number = tag_for_keyword(keyword)
    if number is None:
        return keyword
    return f"{keyword} ({number >> 16:04x},{number & 0xFFFF:04x})"


def missing(keyword: str, needed: str) -> SuvRefusedError:
    """The refusal where a tag is absent, empty or nought."""
    return SuvRefusedError("missing-tag", named(keyword), f"{named(keyword)} is missing, and {needed} needs it")
