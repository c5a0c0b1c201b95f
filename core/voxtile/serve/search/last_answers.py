"""The last answers, so that further pages of one, and questions that many ask, cost no search."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

_KEPT = 256

Answer = TypeVar("Answer")


class LastAnswers(Generic[Answer]):
    """Answers by question; the ones that were asked for last are kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, question: Hashable, find: Callable[[], Answer]) -> Answer:
        """The answer to a question, found where it is not kept.

        Args:
            question: all that the answer depends on.
            find: gives the answer; what it raises is not kept.
        """
        with self._lock:
            if question in self._kept:
                self._kept.move_to_end(question)
                return self._kept[question]
        answer = find()
        with self._lock:
            self._kept[question] = answer
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return answer
