"""docs/models.md says of each published model what the table says, and shows presets that work."""

from pathlib import Path

import pytest

from voxtile.data.presets.published.table import PublishedModel, published_models

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
OPENED = {"pair": "both towers", "image": "images alone"}


def line(model: PublishedModel) -> str:
    """Its row of the page."""
    where = f"; `{model.hub}`" if model.hub else ""
    cells = (
        f"`{model.name}`",
        model.title,
        model.reads,
        OPENED[model.opened],
        f"{model.weights}{where}",
        model.code,
        model.unusual.strip() or "—",
        model.checked,
    )
    return f"| {' | '.join(cells)} |"


@pytest.mark.parametrize("name", published_models())
def test_the_page_has_the_row_of_each_model(name: str) -> None:
    assert line(published_models()[name]) in PAGE.read_text("utf-8").splitlines()


def test_the_page_has_no_other_row() -> None:
    rows = [row for row in PAGE.read_text("utf-8").splitlines() if row.startswith("| `")]
    assert len(rows) == len(published_models())
