"""What is installed here, and what could get in the way."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from voxtile.domain import Command, discover, resolve
from voxtile.extras import requirements

SAFE_BLOSC2 = (4, 14, 1)  # older versions could run code in a hostile frame on opening
OK, WARNING = "ok", "look"
_NAMED = 10  # packages of an extra that are named one by one


def list_domains() -> None:
    """List the installed domains, what each one offers, kinds of tasks, and plugins that failed to load."""
    from voxtile.evaluation.tasks.kind import kind_names

    domains, broken = discover()
    for domain in domains.values():
        _write(f"{domain.name}: {domain.title}")
        tables: dict[str, Mapping[str, object]] = {
            **domain.commands(),
            "configs": domain.configs(),
            "for GPUs": domain.production_configs(),
            "bases": domain.bases(),
            "tasks": domain.tasks(),
            "voices": domain.voices(),
        }
        for title, table in tables.items():
            prefix = f"{domain.name}/" if title in ("configs", "for GPUs", "bases", "tasks", "voices") else ""
            if table:
                _write(f"  {title + ':':<16} {', '.join(prefix + name for name in table)}")
        if domain.missing_files:
            _write(f"  {'look:':<16} {domain.missing_files}")
    _write("kinds of tasks: " + ", ".join(kind_names()))
    for plugin in broken:
        _write(f"{plugin.name}: failed to load: {plugin.reason}")


def print_config_file(name: str, *, expand: bool = False) -> None:
    """Print a training config, to be copied and changed.

    Args:
        name: e.g. medical/ct; 'voxtile domains' lists them.
        expand: with all that its bases say, in one piece; comments are left out then.

    Raises:
        ConfigError: there is no such config, or a base of it cannot be had.
    """
    path = resolve(name, kind="config")
    if expand:
        import yaml

        from voxtile.training.config_bases import read_config

        _write(yaml.safe_dump(read_config(path), sort_keys=False, allow_unicode=True).rstrip("\n"))
    else:
        _write(path.read_text(encoding="utf-8").rstrip("\n"))


def doctor(*, json: bool = False) -> None:
    """Check the installation: versions, extras, codecs, processors, memory, disk, GPU, and the `lightning` script.

    Args:
        json: print one JSON object instead of a table: ok (nothing to look at), and findings with what, verdict (ok or
            look) and detail.
    """
    if json:
        from voxtile.console import print_json

        findings = [{"what": what, "verdict": verdict, "detail": detail} for what, verdict, detail in _findings()]
        print_json({"ok": all(one["verdict"] == OK for one in findings), "findings": findings})
        return
    from rich.markup import escape
    from rich.table import Table

    from voxtile.console import output

    table = Table(show_header=False)
    for _ in range(3):
        table.add_column(overflow="fold")
    for what, verdict, detail in _findings():
        table.add_row(escape(what), f"[{'green' if verdict == OK else 'yellow'}]{verdict}[/]", escape(detail))
    output().print(table)


def _findings() -> Iterator[tuple[str, str, str]]:
    yield "python", OK, f"{platform.python_version()} at {sys.executable}"
    for package in ("voxtile", "torch", "lightning", "open_clip_torch", "numpy", "pyarrow", "duckdb"):
        yield package, *_version(package)
    yield "blosc2", *_blosc2()
    yield from _extras()
    yield "DICOM codecs", *_dicom_codecs()
    yield "language model", OK, Command("voxtile_datasets.captions.providers.default_model:about", "").load()()
    yield from _plugins()
    yield "lightning script", *_lightning_script()
    yield from _machine()
    yield "GPU", *_gpu()


def _version(package: str) -> tuple[str, str]:
    try:
        return OK, importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return WARNING, "not installed"


def _blosc2() -> tuple[str, str]:
    verdict, version = _version("blosc2")
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if verdict == OK and numbers < SAFE_BLOSC2:
        return WARNING, f"{version} can run code in a hostile file; pip install 'blosc2>=4.14.1'"
    return verdict, version


def _extras() -> Iterator[tuple[str, str, str]]:
    distribution = importlib.metadata.distribution("voxtile")
    for extra in distribution.metadata.get_all("Provides-Extra") or []:
        wanted = [package for name, package in requirements() if name == extra]
        missing = [name for name in wanted if _version(name)[0] != OK]
        if missing:
            named = missing if len(missing) <= _NAMED else [missing[0], f"{len(missing) - 1} more"]
            yield f"extra {extra}", WARNING, f"lacks {', '.join(named)}; pip install 'voxtile[{extra}]'"
        else:
            yield f"extra {extra}", OK, "installed"


def _dicom_codecs() -> tuple[str, str]:
    if importlib.util.find_spec("pydicom") is None:
        return WARNING, "pydicom is not installed; pip install 'voxtile[medical]'"
    from pydicom import uid
    from pydicom.pixels.decoders.base import get_decoder

    families = (
        uid.UncompressedTransferSyntaxes,
        uid.RLETransferSyntaxes,
        uid.JPEGTransferSyntaxes,
        uid.JPEGLSTransferSyntaxes,
        uid.JPEG2000TransferSyntaxes,
        [uid.HTJ2KLossless, uid.HTJ2K],
    )
    syntaxes = [syntax for family in families for syntax in family]
    missing = []
    for syntax in syntaxes:
        try:
            is_available = get_decoder(syntax).is_available
        except NotImplementedError:  # a retired process that no plugin knows
            continue
        if not is_available:
            missing.append(syntax.name)
    plugins = [name for name in ("gdcm", "openjpeg", "jpeg_ls", "rle") if importlib.util.find_spec(name)]
    found = f"plugins: {', '.join(plugins) or 'none'}"
    return (WARNING, f"{found}; nothing decodes {', '.join(missing)}") if missing else (OK, found)


def _plugins() -> Iterator[tuple[str, str, str]]:
    domains, broken = discover()
    yield "domains", OK, ", ".join(domains)
    for plugin in broken:
        yield f"plugin {plugin.name}", WARNING, f"failed to load: {plugin.reason}"


def _lightning_script() -> tuple[str, str]:
    script = shutil.which("lightning")
    beside = Path(sys.executable).with_name("lightning")
    if script is None:
        where = f"{beside} is not on PATH" if beside.is_file() else "not installed"
        return WARNING, f"{where}; 'voxtile fit' does the same"
    if "voxtile.cli.main" in Path(script).read_text(encoding="utf-8", errors="replace"):
        return OK, script
    return WARNING, f"{script} belongs to another package (lightning-sdk?); use 'voxtile fit'"


def _machine() -> Iterator[tuple[str, str, str]]:
    import psutil

    from voxtile.processors import processor_quota, usable_processors

    quota = processor_quota()
    granted = "" if quota is None else f"; the control group grants the time of {quota:.3g}"
    yield "processors", OK, f"{usable_processors()} usable of {os.cpu_count()}{granted}"
    memory = psutil.virtual_memory()
    yield "memory", OK, f"{memory.available / 2**30:.1f} GiB free of {memory.total / 2**30:.1f}"
    disk = shutil.disk_usage(Path.cwd())
    yield "disk here", OK if disk.free > 10 * 2**30 else WARNING, f"{disk.free / 2**30:.0f} GiB free"


def _gpu() -> tuple[str, str]:
    if importlib.util.find_spec("torch") is None:
        return WARNING, "torch is not installed"
    if not _may_have_gpu():
        return OK, f"none; torch {importlib.metadata.version('torch')} runs on the processor"
    import torch

    if not torch.cuda.is_available():
        return OK, f"none; torch {torch.__version__} runs on the processor"
    return OK, ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))


def _may_have_gpu() -> bool:
    """Whether it is worth the second that torch takes to look: on Linux a driver's device is there or none is used."""
    devices = ("nvidiactl", "dxg", "kfd")  # of CUDA, of CUDA within Windows, of ROCm
    return sys.platform != "linux" or any(Path("/dev", name).exists() for name in devices)


def _write(text: str) -> None:
    sys.stdout.write(text + "\n")
