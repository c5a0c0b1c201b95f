"""What a command leaves to be done at its end, whether it did its work or was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar

_STACK: ContextVar[ExitStack | None] = ContextVar("command-end", default=None)


@contextmanager
def command() -> Iterator[None]:
    """Within this block a command runs; what was left for its end is done then, the last first."""
    with ExitStack() as stack:
        token = _STACK.set(stack)
        try:
            yield
        finally:
            _STACK.reset(token)


def at_end(work: Callable[[], None]) -> None:
    """Do something when the command ends; nothing where none runs, as in a program that calls voxtile."""
    if (stack := _STACK.get()) is not None:
        stack.callback(work)
