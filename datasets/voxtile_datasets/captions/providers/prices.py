"""What tokens cost, from a table that the user can replace."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from voxtile.bounded_text import load_yaml
from voxtile.errors import ConfigError, cause_of

_SHIPPED = Path(__file__).with_name("prices.yaml")


@dataclass(frozen=True)
class Price:
    """USD for a million tokens.

    Attributes:
        input, output: of the question's and of the reply's tokens.
        known: False where the table has no line for the model, so that its cost is not counted.
    """

    input: float
    output: float
    known: bool = True

    def cost(self, tokens_in: int, tokens_out: int) -> float:
        """USD for a request with so many tokens."""
        return (tokens_in * self.input + tokens_out * self.output) / 1e6


FREE = Price(0.0, 0.0)
UNKNOWN = Price(0.0, 0.0, known=False)


@dataclass(frozen=True)
class PriceTable:
    """Prices by patterns of model names, in the order in which they count.

    Attributes:
        version: as the file says.
        lines: (pattern, price).
    """

    version: str
    lines: tuple[tuple[str, Price], ...]

    def of(self, model: str) -> Price:
        """The price of a model; `UNKNOWN` where no line fits."""
        return next((price for pattern, price in self.lines if fnmatchcase(model, pattern)), UNKNOWN)


def load_prices(path: Path | None = None) -> PriceTable:
    """Read a price table.

    Args:
        path: a file in the form of `prices.yaml` beside this module; None for that one.

    Raises:
        ConfigError: the file is missing or a line of it is no price.
    """
    path = path or _SHIPPED
    try:
        content = load_yaml(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"the prices in '{path}' cannot be read: {cause_of(error)}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("models"), list):
        raise ConfigError(f"'{path}' is no price table: it needs 'models', a list of {{model, input, output}}")
    lines = tuple(_line(path, number, line) for number, line in enumerate(content["models"], 1))
    return PriceTable(str(content.get("version", "")), lines)


def _line(path: Path, number: int, line: Any) -> tuple[str, Price]:  # noqa: ANN401
    values = [line.get(name) for name in ("input", "output")] if isinstance(line, Mapping) else []
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    good = len(numbers) == 2 and all(math.isfinite(v) and v >= 0 for v in numbers)
    if not good or not isinstance(line.get("model"), str):
        raise ConfigError(
            f"model {number} of '{path}' is no price; write it like {{model: name, input: 0.1, output: 0.4}}"
        )
    return line["model"], Price(numbers[0], numbers[1])
