"""Data sets whose folders are classes: NCT-CRC-HE-100K with CRC-VAL-HE-7K, BACH, BreakHis, LC25000."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from voxtile.engine.run import RunOptions
from voxtile.errors import InputError
from voxtile_datasets.recipes.build import ALL_TRAINING, build
from voxtile_datasets.recipes.download import tell_missing
from voxtile_datasets.recipes.entries import Entry
from voxtile_pathology.recipes.collection import Collection, class_of, picture, pictures_below
from voxtile_pathology.recipes.near_duplicates import near_duplicate_groups, random_split_leak
from voxtile_pathology.recipes.picture_files import PictureFiles

_HERE = "voxtile_pathology.recipes.class_folders"

NCT_CRC = Collection(
    name="nct-crc",
    title="NCT-CRC-HE-100K and CRC-VAL-HE-7K (Kather et al., PLOS Medicine 2019)",
    licence="CC BY 4.0",
    source="https://zenodo.org/records/1214456",
    classes={
        "nct-crc": {
            "ADI": "adipose tissue", "BACK": "background", "DEB": "debris", "LYM": "lymphocytes", "MUC": "mucus",
            "MUS": "smooth muscle", "NORM": "normal colon mucosa", "STR": "cancer-associated stroma",
            "TUM": "colorectal adenocarcinoma epithelium",
        },
    },
    mpp=0.5,
    body_part="colon",
)  # fmt: skip
_NCT_SPLITS = {"NCT-CRC-HE-100K": "train", "NCT-CRC-HE-100K-NONORM": "train", "CRC-VAL-HE-7K": "test"}

BACH = Collection(
    name="bach",
    title="BACH (Aresta et al., Medical Image Analysis 2019)",
    licence="CC BY-NC-ND 4.0",
    source="https://zenodo.org/records/3632035",
    classes={
        "bach": {
            "Normal": "normal breast tissue", "Benign": "benign breast lesion", "InSitu": "breast carcinoma in situ",
            "Invasive": "invasive breast carcinoma",
        },
    },
    mpp=0.42,
    body_part="breast",
)  # fmt: skip

BREAKHIS = Collection(
    name="breakhis",
    title="BreakHis (Spanhol et al., IEEE TBME 2016)",
    licence="CC BY 4.0; its page asks for non-commercial research and a citation",
    source="https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/",
    classes={
        "breakhis": {"B": "benign breast tumour", "M": "malignant breast tumour"},
        "breakhis-subtypes": {
            "A": "adenosis", "F": "fibroadenoma", "PT": "phyllodes tumour", "TA": "tubular adenoma",
            "DC": "ductal carcinoma", "LC": "lobular carcinoma", "MC": "mucinous carcinoma",
            "PC": "papillary carcinoma",
        },
    },
    body_part="breast",
)  # fmt: skip
_BREAKHIS_NAME = re.compile(r"^SOB_([BM])_([A-Z]+)-(\d+)-([0-9A-Z]+)-(\d+)-(\d+)$")
_BREAKHIS_MPP = {"40": 0.49, "100": 0.20, "200": 0.10, "400": 0.05}  # table 1 of the paper

LC25000 = Collection(
    name="lc25000",
    title="LC25000 (Borkowski et al., arXiv:1912.12142)",
    licence="no licence stated; offered free of charge to AI researchers",
    source="https://github.com/tampapath/lung_colon_image_set",
    classes={
        "lc25000": {
            "colon_aca": "colon adenocarcinoma", "colon_n": "benign colonic tissue", "lung_aca": "lung adenocarcinoma",
            "lung_n": "benign lung tissue", "lung_scc": "lung squamous cell carcinoma",
        },
    },
)  # fmt: skip


def list_nct_crc(root: Path) -> Iterator[Entry]:
    """Pictures of `NCT-CRC-HE-100K/CLASS` (training) and `CRC-VAL-HE-7K/CLASS` (test), or of one of the two."""
    if root.name not in _NCT_SPLITS:
        tell_missing(root, ["NCT-CRC-HE-100K", "CRC-VAL-HE-7K"], NCT_CRC.title)
    for path in pictures_below(root):
        folder = path.parent.name
        release = path.parts[-3] if len(path.parts) > 2 else root.name
        if release not in _NCT_SPLITS:
            raise InputError(
                f"'{root / path}' lies in '{release}'; the official folders are {', '.join(_NCT_SPLITS)}, each with "
                "one folder a class"
            )
        label = class_of(NCT_CRC, "nct-crc", folder, f"'{root / path}'")
        attributes = {"release": release}
        yield picture(path.as_posix(), {"nct-crc": (label,)}, split=_NCT_SPLITS[release], attributes=attributes)


def list_bach(root: Path) -> Iterator[Entry]:
    """Pictures of `Photos/CLASS`; those of the challenge's test and of its slides have no class and are left out."""
    for path in pictures_below(root):
        folder = Path(root.name, path).parent
        if folder.parent.name == "Photos" or folder.name in BACH.classes["bach"]:
            label = class_of(BACH, "bach", folder.name, f"'{root / path}'")
            yield picture(path.as_posix(), {"bach": (label,)})


def list_breakhis(root: Path) -> Iterator[Entry]:
    """Pictures named `SOB_CLASS_TYPE-YEAR-SLIDE-MAGNIFICATION-NUMBER`, in whatever folders; slides are patients."""
    for path in pictures_below(root):
        match = _BREAKHIS_NAME.match(path.stem)
        if match is None:
            raise InputError(f"'{root / path}' is not named as BreakHis names its pictures; remove it from the folder")
        kind, subtype, year, slide, magnification, _ = match.groups()
        labels = {
            "breakhis": (class_of(BREAKHIS, "breakhis", kind, f"'{root / path}'"),),
            "breakhis-subtypes": (class_of(BREAKHIS, "breakhis-subtypes", subtype, f"'{root / path}'"),),
        }
        subject = f"{year}-{slide}"
        mpp = _BREAKHIS_MPP.get(magnification)
        attributes = {"magnification": int(magnification)}
        yield picture(path.as_posix(), labels, subject=subject, study=subject, mpp=mpp, attributes=attributes)


def list_lc25000(root: Path) -> Iterator[Entry]:
    """Pictures of `*_image_sets/CLASS`; each group of near-duplicates (turned and flipped copies) is one subject."""
    found: dict[str, list[Path]] = {}
    for path in pictures_below(root):
        class_of(LC25000, "lc25000", path.parent.name, f"'{root / path}'")
        found.setdefault(path.parent.name, []).append(path)
    sizes: list[int] = []
    for folder, paths in sorted(found.items()):
        groups = near_duplicate_groups([root / path for path in paths])
        sizes += [groups.count(group) for group in sorted(set(groups))]
        label = LC25000.classes["lc25000"][folder]
        for path, group in zip(paths, groups, strict=True):
            attributes = {"near_duplicates": groups.count(group) - 1}
            subject = paths[group].with_suffix("").name
            yield picture(path.as_posix(), {"lc25000": (label,)}, subject=subject, attributes=attributes)
    leak = random_split_leak(sizes, test_share=0.2)
    Console(stderr=True).print(
        f"LC25000: {sum(sizes)} pictures are turned and flipped copies of {len(sizes)} originals; a split of single "
        f"pictures (20 % test) would have a near-duplicate in training for {leak:.1%} of the test. Here copies stay "
        "together.",
        highlight=False,
    )


def build_nct_crc(source: Path, corpus: Path, **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from NCT-CRC-HE-100K (training) and CRC-VAL-HE-7K (test): nine tissues of the colon.

    Args:
        source: the folder with the two releases unpacked, or one of them.
        corpus: the corpus to add to; made if it does not exist.
        run: options of the run.
    """
    build(PictureFiles(NCT_CRC, f"{_HERE}:list_nct_crc"), source, corpus, ALL_TRAINING, RunOptions(**run))


def build_bach(source: Path, corpus: Path, *, split_fractions: str = "0.7,0.1,0.2", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from BACH: normal, benign, in situ and invasive breast tissue.

    The challenge's own test has no public labels, and patients are not given, so that pictures are split one by one.

    Licence: CC BY-NC-ND 4.0 (https://zenodo.org/records/3632035).

    Args:
        source: the folder `ICIAR2018_BACH_Challenge` as it is unpacked.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test.
        run: options of the run.
    """
    build(PictureFiles(BACH, f"{_HERE}:list_bach"), source, corpus, split_fractions, RunOptions(**run))


def build_breakhis(source: Path, corpus: Path, *, split_fractions: str = "0.6,0.1,0.3", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from BreakHis: benign and malignant breast tumours at four magnifications, split by patient.

    Licence: CC BY 4.0; its page asks for non-commercial research and a citation
    (https://web.inf.ufpr.br/vri/databases/breast-cancer-histopathological-database-breakhis/).

    Args:
        source: the folder `BreaKHis_v1` as it is unpacked, or any folder of its pictures.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by patient.
        run: options of the run.
    """
    build(PictureFiles(BREAKHIS, f"{_HERE}:list_breakhis"), source, corpus, split_fractions, RunOptions(**run))


def build_lc25000(source: Path, corpus: Path, *, split_fractions: str = "0.7,0.1,0.2", **run: Any) -> None:  # noqa: ANN401
    """Build a corpus from LC25000: lung and colon, with its near-duplicates kept on one side of the split.

    The 25,000 pictures are turned and flipped copies of 1,250; they are found by their content and their number is
    printed and stored.

    Args:
        source: the folder `lung_colon_image_set` as it is unpacked.
        corpus: the corpus to add to; made if it does not exist.
        split_fractions: shares of train, val and test, by groups of near-duplicates.
        run: options of the run.
    """
    build(PictureFiles(LC25000, f"{_HERE}:list_lc25000"), source, corpus, split_fractions, RunOptions(**run))
