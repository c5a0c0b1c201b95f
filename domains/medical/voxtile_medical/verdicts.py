"""Verdicts on a series or file: why it is not in the corpus, by a short stable name.

`dropped` is good input that is not wanted as a training volume; `failed` is damaged input that someone should look at.
"""

from __future__ import annotations

from voxtile.engine.task import Outcome, Status

# Damage, or a limit that protects the machine: the run ends with exit status 1 and names the file.
FAILURES = frozenset(
    {
        "changed-during-run",
        "conflicting-copies",
        "decode-error",
        "damaged-member",
        "empty-file",
        "encrypted",
        "implausible-position",
        "implausible-scale",
        "implausible-spacing",
        "invalid-affine",
        "invalid-offset",
        "not-dicom-content",
        "not-nifti-content",
        "pixel-data-too-long",
        "pixel-data-too-short",
        "repeated-column",
        "too-large",
        "memory-limit",
        "missing-file",
        "mixed-patients",
        "time-limit",
        "truncated",
        "unreadable-archive",
        "unreadable-index",
        "unreadable-segmentation",
        "unreadable-sidecar",
        "unsafe-name",
        "unreadable-contours",
        "size-mismatch",
        "stray-bits",
        "unreadable-header",
        "unreadable-name",
        "unreadable-report",
        "unreadable-value",
        "worker-died",
    }
)


class Verdict(Exception):
    """A series, volume or file is not stored, for a named reason.

    Args:
        reason: short machine-readable name, e.g. `missing-slice`.
        detail: one sentence for people; holds no identifier and no path.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[Verdict], tuple[str, str]]:
        """Verdicts come from the processes that read: without it one would end the command."""
        return type(self), (self.reason, self.detail)

    @property
    def status(self) -> Status:
        """`failed` for damaged input, `dropped` for input that is merely not wanted."""
        return "failed" if self.reason in FAILURES else "dropped"

    def outcome(self) -> Outcome:
        """The ledger's view of it."""
        return Outcome(self.status, reason=self.reason, detail=self.detail)
