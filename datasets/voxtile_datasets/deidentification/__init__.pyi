from .find import identifiers as identifiers
from .identifier import Identifier as Identifier
from .replace import Surrogates as Surrogates
from .replace import deidentified as deidentified

__all__ = ["Identifier", "Surrogates", "deidentified", "identifiers"]
