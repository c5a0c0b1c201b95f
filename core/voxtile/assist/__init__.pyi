from .answering import Answering as Answering
from .assistant import Assistant as Assistant
from .assistant import Reply as Reply
from .connector import Connector as Connector
from .preference import Preference as Preference
from .regions import GroundedAnswering as GroundedAnswering
from .scratch import ScratchLanguage as ScratchLanguage

__all__ = [
    "Answering",
    "Assistant",
    "Connector",
    "GroundedAnswering",
    "Preference",
    "Reply",
    "ScratchLanguage",
]
