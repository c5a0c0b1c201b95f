"""The table of what was run, as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from stage import Outcome


def table(outcomes: Sequence[Outcome]) -> str:
    """A row a command: where it stands, what was run, its exit status, what was found; then how many of which."""
    lines = ["| where | command | run as | exit | result | s |", "|---|---|---|---|---|---|"]
    for outcome in outcomes:
        own = "" if outcome.run == outcome.command.text else f"`{_cell(outcome.run)}`"
        exit_status = "–" if outcome.status is None else str(outcome.status)
        result = f"not run: {outcome.skipped}" if outcome.skipped else outcome.result
        result = f"**FAILED** {result}" if outcome.failed else result
        seconds = "" if outcome.status is None else f"{outcome.seconds:.0f}"
        lines.append(
            f"| {outcome.command.place} | `{_cell(outcome.command.text)}` | {own if not outcome.skipped else ''} "
            f"| {exit_status} | {_cell(result)} | {seconds} |"
        )
    failed, skipped = sum(o.failed for o in outcomes), sum(bool(o.skipped) for o in outcomes)
    done = len(outcomes) - failed - skipped
    return "\n".join([*lines, "", f"{done} did what the docs say, {failed} failed, {skipped} cannot be run here."])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
