"""How much text burned into pictures is found and blanked, and how much of clean pictures is blanked wrongly.

Names, dates, numbers and hospitals are planted on radiographs, CT, MR and PET slices and an ultrasound picture, in
fonts of several kinds, 8 to 48 pixels high, at edges, corners and anywhere, white, black, in boxes and in greys that
hardly stand out. Half of the fonts were looked at while thresholds were chosen (`develop`), the other half was not.

    VOXTILE_TEST_DATA=… python benchmarks/burned_in_text.py --half held-out --count 140
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
import pydicom
from PIL import Image, ImageDraw, ImageFont
from pydicom.data import get_testdata_file

from voxtile_medical.burned_in.blank import blank_text, blanked_share
from voxtile_medical.burned_in.finder import find_text
from voxtile_medical.verdicts import Verdict

Array = npt.NDArray[Any]
FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = {
    "develop": ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "DejaVuSerif-Bold.ttf", "cmr10.ttf"),
    "held-out": (
        "DejaVuSans-Bold.ttf",
        "DejaVuSansMono-Bold.ttf",
        "STIXGeneral.ttf",
        "DejaVuSans-Oblique.ttf",
        "bitmap",
    ),
}
HEIGHTS = (8, 10, 12, 16, 24, 32, 48)  # pixels of a capital letter
INKS = ("white", "black", "white in a black box", "black in a white box", 0.25, 0.12)  # or this share of the range
FIRST = ("JANE", "JOHN", "Maria", "Ahmed", "OLIVIA", "Peter", "Chen", "Wei", "ANNA", "Karl")
LAST = ("DOE", "Smith", "GARCIA", "Khan", "MUELLER", "Novak", "O'Brien", "LI", "Johansson", "RUSSO")
COVERED = 0.995  # of the ink


def words(rng: np.random.Generator) -> str:
    """A made-up identifier."""
    first, last = str(rng.choice(FIRST)), str(rng.choice(LAST))
    day, month, year = int(rng.integers(10, 29)), int(rng.integers(10, 13)), int(rng.integers(1930, 2024))
    number = int(rng.integers(10**5, 10**8))
    forms = (
        *(
            f"{last}^{first}",
            f"{last}, {first}",
            f"ID: {number}",
            f"{day}.{month}.{year}",
            f"{year}-{month}-{day} 14:23",
        ),
        *(
            f"DOB {day}/{month}/{year}",
            f"Acc# A{number}",
            "St. Mary's Hospital",
            f"{first[0]}. {last} {day}{month}{year}",
        ),
    )
    return str(rng.choice(forms))


def ink_of(text: str, font: str, height: int) -> Array:
    """[Y, X] from 0 to 1."""
    if font == "bitmap":  # as on old consoles: whole pixels, made larger
        picture = Image.new("L", (8 * len(text) + 8, 16))
        ImageDraw.Draw(picture).text((1, 1), text, fill=255, font=ImageFont.load_default_imagefont())
        factor = max(1, round(height / 8))
        ink = np.kron(np.array(picture) / 255, np.ones((factor, factor)))
    else:
        drawn = ImageFont.truetype(str(FOLDER / font), max(6, round(height / 0.73)))
        left, top, right, bottom = drawn.getbbox(text)
        picture = Image.new("L", (int(right - left) + 4, int(bottom - top) + 4))
        ImageDraw.Draw(picture).text((2 - left, 2 - top), text, fill=255, font=drawn)
        ink = np.array(picture) / 255
    rows, columns = np.nonzero(ink > 0.3)
    return ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def planted(
    picture: Array, rng: np.random.Generator, fonts: tuple[str, ...], height: int, how: str | float
) -> tuple[Array, Array] | None:
    """The picture with a text, and where its ink is; None where no place was found at which it can be seen."""
    low, high = (0.0, 255.0) if picture.ndim == 3 else (float(picture.min()), float(picture.max()))
    for _ in range(40):
        ink = ink_of(words(rng), str(rng.choice(fonts)), height)
        free = [size - ink_size - 2 for size, ink_size in zip(picture.shape, ink.shape, strict=False)]
        if min(free) < 2:
            continue
        y, x = (int(rng.choice((2, room, room // 2, int(rng.integers(2, room + 1))))) for room in free)
        out = picture.astype(np.float64)
        place = np.s_[y : y + ink.shape[0], x : x + ink.shape[1]]
        if isinstance(how, str) and "box" in how:
            edge = np.s_[y - 2 : y + ink.shape[0] + 2, x - 2 : x + ink.shape[1] + 2]
            out[edge] = low if how.endswith("black box") else high
        behind = out[place].copy()  # before the ink is laid over it
        middle = float(np.median(behind))
        grey = middle + float(how) * (high - low) if not isinstance(how, str) else 0.0
        value = (high if how.startswith("white") else low) if isinstance(how, str) else grey
        value = value if value <= high else 2 * middle - value
        share = ink if picture.ndim == 2 else ink[..., None]
        out[place] = behind * (1 - share) + value * share
        mask = np.zeros(picture.shape[:2], dtype=bool)
        mask[place] = ink > 0.5
        contrast = np.abs(value - behind[ink > 0.5]).mean() / (high - low)
        if contrast > 0.1:
            return np.clip(out, low, high).astype(picture.dtype), mask
    return None


def pictures() -> dict[str, Array]:
    """Pictures without text, by name."""
    data = Path(os.environ["VOXTILE_TEST_DATA"]) / "medical"
    found: dict[str, Array] = {}
    for path in sorted((data / "nih_cxr14_samples").glob("*.png")):
        found[f"radiograph {path.stem}"] = np.array(Image.open(path).convert("L"))
    files = sorted((data / "ibsi_sts_008" / "dicom").rglob("*.dcm"))
    for path in files[:: len(files) // 5]:
        dataset = pydicom.dcmread(path)
        if "PixelData" in dataset and dataset.Modality in ("CT", "MR", "PT"):
            found[f"{dataset.Modality} {path.stem}"] = dataset.pixel_array
    for name in ("examples_rgb_color.dcm", "examples_jpeg2k.dcm", "MR_small.dcm", "CT_small.dcm"):
        found[name] = pydicom.dcmread(str(get_testdata_file(name))).pixel_array
    return {
        name: np.kron(a, np.ones((4, 4), a.dtype)) if max(a.shape) < 200 and a.ndim == 2 else a
        for name, a in found.items()
    }


def main() -> None:
    """Print what is blanked of clean pictures, and the share of planted texts that is gone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=FONTS, default="develop")
    parser.add_argument("--count", type=int, default=84)
    parser.add_argument("--pictures", type=int, help="only the last so many, which are small")
    arguments = parser.parse_args()
    rng = np.random.default_rng(29 if arguments.half == "develop" else 31)
    clean = dict(list(pictures().items())[-arguments.pictures :] if arguments.pictures else pictures())
    usable = {}
    for name, picture in clean.items():
        started = time.process_time()
        regions = find_text(picture)
        seconds = time.process_time() - started
        share = blanked_share(regions, picture.shape)
        print(f"clean {name} {picture.shape}: {len(regions)} places, {share:.2%}, {seconds:.1f} s", flush=True)
        if not regions:
            usable[name] = picture
    names = sorted(usable)
    gone: dict[str, list[bool]] = defaultdict(list)
    left_out = 0
    for number in range(arguments.count):
        height, how = HEIGHTS[number % len(HEIGHTS)], INKS[number // len(HEIGHTS) % len(INKS)]
        made = planted(usable[names[number % len(names)]], rng, FONTS[arguments.half], height, how)
        if made is None:
            continue
        picture, ink = made
        found = find_text(picture)
        covered = np.zeros(ink.shape, dtype=bool)
        try:
            regions = blank_text(picture)[1] if found else []
        except Verdict:  # the picture is left out, and its text with it
            left_out += 1
            regions, covered[:] = [], True
        for region in regions:
            covered[region.top : region.bottom, region.left : region.right] = True
        share = covered[ink].mean()
        for key in ("all", f"height {height}", f"ink {how}"):
            gone[key].append(bool(share >= COVERED))
        gone["seen at all"].append(bool(share > 0))
        print(f"so far: {sum(gone['all'])} of {len(gone['all'])}, seen {sum(gone['seen at all'])}", flush=True)
        if share < COVERED and arguments.half == "develop":
            print(f"missed: {names[number % len(names)]}, height {height}, {how}: {share:.2f}", flush=True)
    print(f"pictures left out: {left_out}")
    for key, hits in gone.items():
        print(f"{key}: {sum(hits)} of {len(hits)}, {np.mean(hits):.3f}")


if __name__ == "__main__":
    main()
