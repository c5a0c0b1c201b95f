"""The header of a GGUF file: enough to refuse what is no model, and to tell a chat model from a base model.

Layout: magic `GGUF`, version (uint32), number of tensors and of metadata entries (uint64), then the entries: name,
value type, value (the GGUF specification in the ggml repository, docs/gguf.md).
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias

from voxtile.file_edges import probe
from voxtile_datasets.captions.providers.provider import ProviderError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MOST_ENTRIES = 10_000
_LONGEST_STRING = 16 << 20  # bytes
_LONGEST_ARRAY = 100_000_000  # elements
_PLACES = 256  # of which some lie in every tensor that a training changes
_SAMPLED = 1 << 20  # bytes at each end that the fingerprint covers

Value: TypeAlias = int | float | bool | str | None


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says of itself.

    Attributes:
        name: the file's name without its ending, with a fingerprint of its content: one name, one model.
        architecture: e.g. `gemma3`.
        context: tokens that the model was trained on; None where the file does not say.
        chat: it has a chat template, so it was taught to follow instructions.
        content: a hash over places of the whole file; models that were trained on keep size and ends of the first.
    """

    name: str
    architecture: str
    context: int | None
    chat: bool
    content: str


def read_header(path: Path) -> GgufHeader:
    """Read the header of a model file.

    Raises:
        ProviderError: the file is missing, is no GGUF, of a version that nobody writes any more, or cut off.
    """
    try:
        with path.open("rb") as file:
            metadata = _metadata(file, path)
            fingerprint = _fingerprint(file)
        content = probe(path, _PLACES)[1][:32]
    except OSError as error:
        raise ProviderError(f"the model file '{path}' cannot be read: {error.strerror}") from error
    except (EOFError, struct.error, UnicodeDecodeError) as error:
        raise ProviderError(f"the model file '{path}' is cut off or damaged; fetch it again") from error
    architecture = str(metadata.get("general.architecture", ""))
    context = metadata.get(f"{architecture}.context_length")
    return GgufHeader(
        name=f"{path.stem}@{fingerprint}",
        architecture=architecture,
        context=context if isinstance(context, int) and context > 0 else None,
        chat=bool(metadata.get("tokenizer.chat_template")),
        content=content,
    )


def _metadata(file: BinaryIO, path: Path) -> dict[str, Value]:
    if file.read(4) != b"GGUF":
        raise ProviderError(f"'{path}' is no GGUF model (its first bytes are not 'GGUF'); convert it with llama.cpp")
    version, _tensors, entries = struct.unpack("<IQQ", _exactly(file, 20))
    if version not in (2, 3):
        raise ProviderError(f"'{path}' is of GGUF version {version}; versions 2 and 3 are read")
    if entries > _MOST_ENTRIES:
        raise ProviderError(f"'{path}' claims {entries:,} metadata entries; it is damaged")
    found: dict[str, Value] = {}
    for _ in range(entries):
        name = _string(file)
        (kind,) = struct.unpack("<I", _exactly(file, 4))
        found[name] = _value(file, kind)
    return found


def _value(file: BinaryIO, kind: int) -> Value:
    """One value; arrays are passed over."""
    if kind == _STRING:
        return _string(file)
    if kind == _ARRAY:
        element, length = struct.unpack("<IQ", _exactly(file, 12))
        if length > _LONGEST_ARRAY:
            raise EOFError
        _pass_over(file, element, length)
        return None
    if kind not in _SCALARS:
        raise EOFError
    form = "<" + _SCALARS[kind]
    value: int | float | bool = struct.unpack(form, _exactly(file, struct.calcsize(form)))[0]
    return value


def _pass_over(file: BinaryIO, element: int, length: int) -> None:
    if element in _SCALARS:
        file.seek(length * struct.calcsize("<" + _SCALARS[element]), 1)
        return
    if element != _STRING:
        raise EOFError
    for _ in range(length):
        (size,) = struct.unpack("<Q", _exactly(file, 8))
        if size > _LONGEST_STRING:
            raise EOFError
        file.seek(size, 1)


def _string(file: BinaryIO) -> str:
    (size,) = struct.unpack("<Q", _exactly(file, 8))
    if size > _LONGEST_STRING:
        raise EOFError
    return _exactly(file, size).decode()


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _fingerprint(file: BinaryIO) -> str:
    """Twelve hex digits of a hash over the size and both ends: quick also for models of many gigabytes."""
    size = file.seek(0, 2)
    digest = hashlib.sha256(str(size).encode())
    for start in (0, max(0, size - _SAMPLED)):
        file.seek(start)
        digest.update(file.read(_SAMPLED))
    return digest.hexdigest()[:12]
