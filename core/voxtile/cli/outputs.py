"""Where a command is to write: under the output root, on this machine, and where something can be written at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from voxtile.cli.signature import Parameter, Signature
from voxtile.corpus.remote.address import parse_address
from voxtile.errors import ConfigError
from voxtile.folders import under_output_root

_NAMED = {"out", "html"}  # parameters of these names say where to write, whatever their type


def settle_outputs(signature: Signature, values: dict[str, Any], name: str) -> None:
    """Have the outputs among a command's values where they will be written, and refuse what cannot be, before any work.

    Args:
        signature: what the command takes.
        values: of it, by name; changed in place.
        name: the words that chose the command, e.g. `voxtile inspect`.

    Raises:
        ConfigError: an output is an address, a folder in place of a file, or lies where nothing can be written.
    """
    for parameter in _outputs(signature):
        if not isinstance(output := values.get(parameter.name), Path):
            continue
        if (address := parse_address(output)) is not None:
            raise ConfigError(
                f"'{name}' writes to this machine, and '{address.url}' lies in a store; name a folder or a file here, "
                "and copy it there by the store's own tools, a corpus by 'voxtile push'"
            )
        if parameter.name in _NAMED:
            values[parameter.name] = output = under_output_root(output)
        if (why := _why_not(output, is_file=parameter.is_output_file)) is not None:
            raise ConfigError(f"{parameter.as_typed}: '{output}' cannot be written, {why}")


def _outputs(signature: Signature) -> Iterator[Parameter]:
    return (one for one in signature.parameters if one.name in _NAMED or one.is_output_file)


def _why_not(output: Path, *, is_file: bool) -> str | None:
    if is_file and output.is_dir():
        return "it is a folder; name a file"
    if os.path.lexists(output) and os.access(output, os.W_OK):
        return None
    folder = next(one for one in output.absolute().parents if os.path.lexists(one))
    if not folder.is_dir():
        return f"since '{folder}' is no folder; choose another place"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"since you may not write in '{folder}'; choose another place"
    return None
