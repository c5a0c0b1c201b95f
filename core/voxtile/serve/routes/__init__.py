"""The HTTP interface, a file a subject."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from voxtile.serve.explored import Explored


def _explored(request: Request) -> Explored:
    explored: Explored = request.app.state.explored
    return explored


Served = Annotated[Explored, Depends(_explored)]
"""What is served, as routes take it."""
