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
        set: aid, eurosat, fmow, millionaid, resisc45, patternnet, rsicb256, skyscript (classification), or rsicd,
            rsitmd, ucm-captions (retrieval).
        run: options of the run.

    Raises:
        ConfigError: no such set.
        InputError: the folder is not laid out like the set.
    """
    if set not in CLASSIFICATION and set not in RETRIEVAL:
        raise ConfigError(f"there is no set '{set}'; choose one of {', '.join((*CLASSIFICATION, *RETRIEVAL))}")
    build(SceneFiles(benchmark(set, source)), source, corpus, "0,0,1", RunOptions(**run))


def benchmark(name: str, source: Path) -> Dataset:
    """The dataset of a set; SkyScript's own classes are read from its file of names.

    Args:
        name: a key of `CLASSIFICATION` or `RETRIEVAL`.
        source: its folder, for the class names.
    """
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
    vocabulary = classes.concepts(table)
    if not table:
        found = next((p for p in (source / "classnames.txt", source / folder / "classnames.txt") if p.is_file()), None)
        vocabulary = tuple(line.replace("_", " ") for line in read_lines(found)) if found else ()
    return _dataset(name, folder, BenchmarkTable(tables, dict(table)), {name: vocabulary} if vocabulary else {})


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
