"""What the comparisons found as one page: ratios with their spreads, figures with their aims, and what did not run."""

import json
import math
from pathlib import Path
from typing import Any

from bench.comparisons import COMPARISONS
from voxtile.pages import page_environment

WIDTH, HEIGHT = 600, 26  # of a drawing, in its own units
TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000)


def write_page(folder: Path) -> None:
    """Write `index.html` and `results.json` from the results in a folder.

    Args:
        folder: with `results/NAME.json` of each comparison that was run, finished or not.
    """
    order = {each.name: place for place, each in enumerate(COMPARISONS)}
    outcomes = [json.loads(path.read_text()) for path in sorted((folder / "results").glob("*.json"))]
    outcomes.sort(key=lambda outcome: order.get(outcome["name"], len(order)))
    records = [record for outcome in outcomes if outcome["state"] == "finished" for record in outcome["records"]]
    ratios = [record for record in records if "ratio" in record]
    figures = [record for record in records if "value" in record]
    lost = [outcome for outcome in outcomes if outcome["state"] != "finished"]
    whole = {"ratios": ratios, "figures": figures, "did_not_run": [_short(outcome) for outcome in lost]}
    (folder / "results.json").write_text(json.dumps(whole, indent=1, ensure_ascii=False))
    scale = Scale.of(ratios)
    content = {
        "rows": [{**record, "drawn": scale.row(record), "state": judged(record)} for record in ratios],
        "figures": [{**record, "state": judged(record)} for record in figures],
        "lost": [_short(outcome) for outcome in lost],
        "ticks": scale.ticks,
        "machines": sorted({record["machine"] for record in records}),
        "dates": sorted({record["date"][:10] for record in records}),
        "loads": [record["load"] for record in records],
        "quick": any(outcome["quick"] for outcome in outcomes),
        "width": WIDTH,
        "height": HEIGHT,
    }
    environment = page_environment("bench")
    environment.filters["short"] = short
    (folder / "index.html").write_text(environment.get_template("bench.html.j2").render(content), "utf-8")


def judged(record: dict[str, Any]) -> str:
    """Whether an aim is met: `met`, `missed`, or `none` where there is none."""
    if record.get("aim") is None:
        return "none"
    found = record["ratio"]["median"] if "ratio" in record else record["value"]
    at_least = "ratio" in record or record["least"]
    return "met" if (found >= record["aim"] if at_least else found <= record["aim"]) else "missed"


def short(value: float | None) -> str:
    """A number with three digits that count, and commas."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}"


def _short(outcome: dict[str, Any]) -> dict[str, Any]:
    return {key: outcome[key] for key in ("name", "state", "reason")} | {"command": " ".join(outcome["command"])}


class Scale:
    """A logarithmic axis of ratios.

    Args:
        low: its left end.
        high: its right end.
    """

    def __init__(self, low: float, high: float) -> None:
        self._low, self._high = math.log(low), math.log(high)

    @classmethod
    def of(cls, records: list[dict[str, Any]]) -> "Scale":
        """One on which all ratios, their spreads and 1 have their place."""
        bounds = [1.0, *(value for record in records for value in record["ratio"].values())]
        bounds += [record["aim"] for record in records if record["aim"]]
        return cls(min(0.5, min(bounds) / 1.2), max(2.0, max(bounds) * 1.2))

    def x(self, ratio: float) -> float:
        """Place of a ratio from the left, in units of the drawing."""
        return round((math.log(ratio) - self._low) / (self._high - self._low) * WIDTH, 1)

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Labels and places of round ratios."""
        return [(f"{tick:g}", self.x(tick)) for tick in TICKS if self._low < math.log(tick) < self._high]

    def row(self, record: dict[str, Any]) -> dict[str, float | None]:
        """Places of a record's median, spread and aim."""
        places = {key: self.x(value) for key, value in record["ratio"].items()}
        return {**places, "aim": self.x(record["aim"]) if record["aim"] else None}
