from .answering import Answering as Answering
from .assistant import Assistant as Assistant
from .connector import Connector as Connector
from .item_tokens.found_regions import FoundRegions as FoundRegions
from .item_tokens.named_readings import NamedReadings as NamedReadings
from .preference import Preference as Preference
from .regions import GroundedAnswering as GroundedAnswering
from .scratch import ScratchLanguage as ScratchLanguage
from .speaking.replies import Reply as Reply

__all__ = [
    "Answering",
    "Assistant",
    "Connector",
    "FoundRegions",
    "GroundedAnswering",
    "NamedReadings",
    "Preference",
    "Reply",
    "ScratchLanguage",
]
