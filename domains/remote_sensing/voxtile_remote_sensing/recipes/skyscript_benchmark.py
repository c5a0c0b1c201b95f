"""`voxtile build skyscript-benchmark`: the classification and retrieval sets that SkyScript was evaluated on.

Source: benchmark_dataset_info.py and cross_modal_retrieval.ipynb of https://github.com/wangzhecheng/SkyScript.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from voxtile.engine.run import RunOptions
from voxtile.errors import ConfigError, InputError
from voxtile_datasets.recipes.build import build
from voxtile_datasets.recipes.download import spelling_key
from voxtile_datasets.recipes.entries import Entry
from voxtile_remote_sensing.recipes.dataset import Dataset, Layout, Pixels
from voxtile_remote_sensing.recipes.layouts import classes
from voxtile_remote_sensing.recipes.layouts.pair_table import PairTables
from voxtile_remote_sensing.recipes.layouts.reading import read_lines
from voxtile_remote_sensing.recipes.scene_files import SceneFiles

_SOURCE = "https://github.com/wangzhecheng/SkyScript (Wang et al., AAAI 2024), benchmark/{file}"
# Set → (folder, table, class table); SkyScript_cls is the set of SkyScript's own domain.
CLASSIFICATION: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "aid": ("aid", "aid_img_txt_pairs_test.csv", classes.AID),
    "eurosat": ("eurosat", "eurosat_img_txt_pairs_test.csv", classes.EUROSAT_WORDS),
    "fmow": ("fmow", "fmow_img_txt_pairs_val.csv", classes.FMOW),
    "millionaid": ("millionaid", "img_txt_pairs_train.csv", classes.MILLIONAID),
    "resisc45": ("nwpu", "img_txt_pairs_train.csv", classes.RESISC45),
    "patternnet": ("patternnet", "img_txt_pairs_train.csv", classes.PATTERNNET),
    "rsicb256": ("rsicb256", "img_txt_pairs_train.csv", classes.RSICB256),
    "skyscript": ("SkyScript_cls", "img_txt_pairs_val.csv", {}),
}
# Properties of one object, under two lists of classes each; both lists stand in the download alone.
FINE_GRAINED: Mapping[str, tuple[str, str]] = {
    f"{folder}{ending}": (folder, version)
    for folder in ("roof_shape", "smoothness", "surface")
    for ending, version in (("", "v1"), ("_v2", "v2"))
}
RETRIEVAL: Mapping[str, tuple[str, str]] = {
    "rsicd": ("RSICD", "RSICD_img_txt_pairs_test.csv"),
    "rsitmd": ("RSITMD", "RSITMD_img_txt_pairs_test.csv"),
    "ucm-captions": ("ucmcaptions", "ucmcaptions_img_txt_pairs_test.csv"),
}


@dataclass(frozen=True)
class BenchmarkTable:
    """A table of a benchmark, with its class names turned into the concepts of the dataset's own recipe.

    Attributes:
        tables: the table.
        concepts: class name in any spelling → concept; empty to take the names as they are.
    """

    tables: PairTables
    concepts: Mapping[str, str]

    def entries(self, root: Path) -> Iterator[Entry]:
        """Pictures in the order of the table.

        Raises:
            InputError: a class that the dataset does not have.
        """
        known = {spelling_key(name): concept for name, concept in self.concepts.items()}
        known |= {spelling_key(concept): concept for concept in self.concepts.values()}
        for entry in self.tables.entries(root):
            labels = {}
            for vocabulary, names in entry.labels.items():
                unknown = [name for name in names if known and spelling_key(name) not in known]
                if unknown:
                    raise InputError(f"'{unknown[0]}' is no class of {vocabulary}; download the benchmark again")
                labels[vocabulary] = tuple(known.get(spelling_key(name), name.replace("_", " ")) for name in names)
            yield replace(entry, labels=labels)

    def read(self, root: Path, entry: Entry) -> Pixels:
        """The picture."""
        return self.tables.read(root, entry)


def build_skyscript_benchmark(
    source: Path,
    corpus: Path,
    *,
    set: str,
    **run: Any,  # noqa: ANN401
) -> None:
    """Build a corpus from one of SkyScript's benchmark sets, as a test split.

    Args:
        source: the folder that its zip is unpacked to, or the folder above it.
        corpus: the corpus to add to; made if it does not exist.
        set: aid, eurosat, fmow, millionaid, resisc45, patternnet, rsicb256, skyscript (classification), roof_shape,
            smoothness, surface (fine-grained, by the classes of its first version, or with _v2 of the second), or
            rsicd, rsitmd, ucm-captions (retrieval).
        run: options of the run.

    Raises:
        ConfigError: no such set.
        InputError: the folder is not laid out like the set.
    """
    known = (*CLASSIFICATION, *FINE_GRAINED, *RETRIEVAL)
    if set not in known:
        raise ConfigError(f"there is no set '{set}'; choose one of {', '.join(known)}")
    build(SceneFiles(benchmark(set, source)), source, corpus, "0,0,1", RunOptions(**run))


def benchmark(name: str, source: Path) -> Dataset:
    """The dataset of a set; SkyScript's own classes are read from its file of names.

    Args:
        name: a key of `CLASSIFICATION`, `FINE_GRAINED` or `RETRIEVAL`.
        source: its folder, for the class names.

    Raises:
        InputError: a fine-grained set has no file of names.
    """
    if name in FINE_GRAINED:
        return _fine_grained(name, source)
    if name in RETRIEVAL:
        folder, file = RETRIEVAL[name]
        tables = PairTables((file, f"{folder}/{file}"), ("title",), split="test", roots=(".", folder, "images", ".."))
        return _dataset(name, folder, tables)
    folder, file, table = CLASSIFICATION[name]
    tables = PairTables(
        (file, f"{folder}/{file}"),
        label_column="label",
        vocabulary=name,
        split="test",
        roots=(".", folder, "images", ".."),
    )
    vocabulary = classes.concepts(table) if table else tuple(_names(source, folder, "classnames.txt").values())
    return _dataset(name, folder, BenchmarkTable(tables, dict(table)), {name: vocabulary} if vocabulary else {})


def _fine_grained(name: str, source: Path) -> Dataset:
    folder, version = FINE_GRAINED[name]
    file = f"classnames_{version}.txt"
    names = _names(source, folder, file)
    if not names:
        raise InputError(f"'{source}' has no {file}, which names the classes; download {folder}.zip again")
    tables = PairTables(
        ("img_txt_pairs_test.csv", f"{folder}/img_txt_pairs_test.csv"),
        label_column=f"label_{version}",
        class_names=file,
        vocabulary=folder,
        split="test",
        roots=(".", folder, "images", ".."),
    )
    return _dataset(name, folder, BenchmarkTable(tables, names), {folder: tuple(dict.fromkeys(names.values()))})


def _names(source: Path, folder: str, file: str) -> dict[str, str]:
    """Class names of a download → concepts, in order; empty where it has no such file."""
    found = next((path for path in (source / file, source / folder / file) if path.is_file()), None)
    return {line: line.replace("_", " ") for line in read_lines(found)} if found else {}


def _dataset(
    name: str, folder: str, layout: Layout, vocabularies: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> Dataset:
    return Dataset(
        name=f"skyscript-{name}",
        title=f"SkyScript's benchmark '{name}'",
        source=_SOURCE.format(file=f"{folder}.zip"),
        licence="as the original dataset",
        modality="RGB",
        layout=layout,
        vocabularies=dict(vocabularies),
    )
