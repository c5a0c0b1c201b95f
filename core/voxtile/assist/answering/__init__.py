"""The objective that trains assistants: answers of a language model that sees the image through a connector."""

from voxtile.assist.answering.captions import DESCRIBE, FINDINGS, REPORT
from voxtile.assist.answering.objective import Answering, Told
from voxtile.assist.answering.training_dialogues import DialogueData

__all__ = ["DESCRIBE", "FINDINGS", "REPORT", "Answering", "DialogueData", "Told"]
