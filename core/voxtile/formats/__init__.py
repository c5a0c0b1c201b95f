"""Formats that `voxtile extract` writes; each module imports its library only when it is used."""
