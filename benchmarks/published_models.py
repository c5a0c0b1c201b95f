"""What the code of published models makes of invented inputs, beside what voxtile makes of them.

The code of the models is not part of this repository. In an environment of its own:

    python3 -m venv peers
    peers/bin/pip install torch torchvision timm open_clip_torch transformers==4.46.3 monai==1.3.0 nibabel \
        SimpleITK pandas unidecode torchio colipri==0.1.3 merlin-vlm==0.0.7
    git clone https://github.com/ibrahimethemhamamci/CT-CLIP sources/CT-CLIP          # a2a155c6
    git clone https://github.com/zch0414/hlip sources/hlip                            # 70ef68d1
    git clone https://github.com/BAAI-DCAI/M3D sources/M3D                            # 63e72005
    git clone https://github.com/rajpurkarlab/CheXzero sources/CheXzero               # 5c341db0
    git clone https://github.com/mahmoodlab/CONCH sources/CONCH                       # 141cc09c
    git clone https://github.com/om-ai-lab/RS5M sources/RS5M                          # 084cdd95
    peers/bin/python benchmarks/published_models.py peers sources results

It writes an array for each model and input. M3D-CLIP alone needs MONAI 1.3, whose arguments its code uses, and Merlin
a later one (`--only m3d-clip`, `--only merlin` choose). Then, with voxtile:

    python benchmarks/published_models.py compare results
    python benchmarks/published_models.py numbers results tests/core/data/published_numbers.json

`compare` prints the largest difference of each; `numbers` keeps a few values of each for the tests.
"""

from __future__ import annotations

import argparse
import ast
import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt

_INPUTS = Path(__file__).parents[1] / "tests" / "support" / "published_inputs.py"
_KEPT = 12  # values of each array


@cache
def inputs() -> Any:
    """The invented inputs."""
    spec = importlib.util.spec_from_file_location("published_inputs", _INPUTS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def defined_in(path: Path, names: set[str], given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Functions, classes and constants of a script, without running the rest of it."""
    tree = ast.parse(path.read_text("utf-8"))
    wanted = [node for node in tree.body if _names(node) & names]
    space: dict[str, Any] = dict(given or {})
    exec(compile(ast.Module(wanted, []), str(path), "exec"), space)
    return space


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {getattr(node, "name", "")}


def in_directions(scan: Any, directions: str) -> Any:
    """A scan stored along other directions, by nibabel."""
    import nibabel as nib
    from nibabel import orientations

    image = nib.Nifti1Image(scan.stored, scan.affine)
    change = orientations.ornt_transform(
        orientations.io_orientation(scan.affine), orientations.axcodes2ornt(directions)
    )
    turned = image.as_reoriented(change)
    return type(scan)(np.asarray(turned.dataobj), turned.affine, scan.slope, scan.intercept)


def written(scan: Any, path: Path, *, physical: bool) -> Path:
    """A NIfTI file of a scan, of its physical values or of what is stored."""
    import nibabel as nib

    values = scan.stored.astype(np.float32) * scan.slope + scan.intercept if physical else scan.stored
    nib.save(nib.Nifti1Image(values, scan.affine), path)
    return path


# --- the models' own code --------------------------------------------------------------------------------------------


def ct_clip(sources: Path, scan: Any, folder: Path) -> npt.NDArray[np.float32]:
    """CT-CLIP, of a file stored as CT-RATE's are: rescaled and spaced by a table, along left, back and up."""
    import pandas as pd

    sys.path.insert(0, str(sources / "CT-CLIP" / "scripts"))
    from data_inference_nii import CTReportDatasetinfer

    scan = in_directions(scan, "LPS")
    path = written(scan, folder / "scan.nii.gz", physical=False)
    x, y, z = (float(n) for n in np.linalg.norm(scan.affine[:3, :3], axis=0))
    row = {
        "VolumeName": path.name,
        "RescaleSlope": scan.slope,
        "RescaleIntercept": scan.intercept,
        "XYSpacing": f"[{x:.6g}, {y:.6g}] ",
        "ZSpacing": round(z, 6),
    }
    made = CTReportDatasetinfer.nii_img_to_tensor(None, str(path), pd.DataFrame([row]))
    return np.asarray(made)


def hlip(sources: Path, scan: Any, folder: Path) -> npt.NDArray[np.float32]:
    """HLIP of chest CT: its processing of CT-RATE, then its loader."""
    import SimpleITK
    import torch
    from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    from torchvision.transforms import Normalize

    scan = in_directions(scan, "LPS")
    name = "valid_1_a_1.nii.gz"
    place = folder / "valid" / "valid_1" / "valid_1_a"
    place.mkdir(parents=True)
    written(scan, place / name, physical=False)
    x, y, z = (float(n) for n in np.linalg.norm(scan.affine[:3, :3], axis=0))
    row = {
        "VolumeName": name,
        "RescaleSlope": scan.slope,
        "RescaleIntercept": scan.intercept,
        "XYSpacing": f"[{x:.6g}, {y:.6g}]",
        "ZSpacing": round(z, 6),
    }
    import os

    root = sources / "hlip"
    first = defined_in(
        root / "data" / "ct_rate" / "process.py",
        {"load_nifti_file"},
        {"os": os, "ast": ast, "sitk": SimpleITK, "torch": torch},
    )
    resized, _ = first["load_nifti_file"](row, SimpleNamespace(root_dir=str(folder), data="valid", spacing=[3, 1, 1]))
    torch.save(torch.from_numpy(resized).float(), folder / "scan.pt")
    second = defined_in(
        root / "src" / "hlip_test" / "inference_rad_chestct.py",
        {"loader"},
        {
            "torch": torch,
            "Normalize": Normalize,
            "IMAGENET_DEFAULT_MEAN": IMAGENET_DEFAULT_MEAN,
            "IMAGENET_DEFAULT_STD": IMAGENET_DEFAULT_STD,
        },
    )
    made = second["loader"](folder / "scan.pt", SimpleNamespace(input_info=["-1150", "350", "crop"]))
    return np.asarray(made[0, 0])


def merlin(sources: Path, scan: Any, folder: Path) -> npt.NDArray[np.float32]:
    """Merlin's transforms."""
    from monai import transforms

    path = _package("merlin") / "data" / "monai_transforms.py"
    made = defined_in(path, {"ImageTransforms"}, vars(transforms))["ImageTransforms"]
    return np.asarray(made({"image": str(written(scan, folder / "scan.nii.gz", physical=True))})["image"])


def colipri(sources: Path, scan: Any, folder: Path) -> npt.NDArray[np.float32]:
    """COLIPRI's transforms, by its published configuration."""
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    root = _package("colipri") / "configs"
    settings = OmegaConf.load(root / "config.yaml")
    steps = OmegaConf.load(root / "processor" / "image_transform" / "default.yaml")
    merged = OmegaConf.merge(settings, {"transform": steps})
    import torchio

    image = torchio.ScalarImage(written(scan, folder / "scan.nii.gz", physical=True))
    transform = instantiate(OmegaConf.create(OmegaConf.to_container(merged, resolve=True)).transform)
    if isinstance(transform.transforms, dict):
        transform = torchio.Compose(list(transform.transforms.values()))
    return np.asarray(transform(image).data)


def m3d(sources: Path, scan: Any, folder: Path) -> npt.NDArray[np.float32]:
    """M3D-CLIP: a folder of grey pictures, by its preparation of M3D-Cap."""
    import os
    from collections import Counter

    import monai.transforms as mtf
    from PIL import Image
    from unidecode import unidecode

    scan = in_directions(scan, "LPS")
    stack = folder / "in" / "00001" / "Axial"
    stack.mkdir(parents=True)
    for index in range(scan.stored.shape[2]):
        Image.fromarray(np.ascontiguousarray(scan.stored[:, :, index].T)).save(stack / f"{index}.png")
    given = {
        "os": os,
        "np": np,
        "mtf": mtf,
        "Image": Image,
        "unidecode": unidecode,
        "Counter": Counter,
        "input_dir": str(folder / "in"),
        "output_dir": str(folder / "out"),
    }
    code = defined_in(
        sources / "M3D" / "Data" / "process" / "m3d_cap_data_prepare.py", {"transform", "process_subfolder"}, given
    )
    code["process_subfolder"]("00001")
    return np.asarray(np.load(folder / "out" / "00001" / "Axial.npy"))


def chexzero(sources: Path, picture: npt.NDArray[np.uint8], folder: Path) -> npt.NDArray[np.float32]:
    """CheXzero: its preparation of files, then the transforms of its data sets for pretrained weights."""
    import torch
    from PIL import Image
    from torchvision.transforms import Compose, InterpolationMode, Normalize, Resize

    Image.ANTIALIAS = Image.Resampling.LANCZOS  # as Pillow called it then
    prepare = defined_in(sources / "CheXzero" / "data_process.py", {"preprocess"}, {"Image": Image})["preprocess"]
    square = np.asarray(prepare(Image.fromarray(picture).convert("RGB")), dtype=np.float32)
    image = torch.from_numpy(np.repeat(square[None], 3, axis=0))
    steps = Compose(
        [
            Normalize((101.48761, 101.48761, 101.48761), (83.43944, 83.43944, 83.43944)),
            # Its requirements have torchvision 0.11, which does not filter tensors.
            Resize(224, interpolation=InterpolationMode.BICUBIC, antialias=False),
        ]
    )
    return np.asarray(steps(image))


def plip(sources: Path, picture: npt.NDArray[np.uint8], folder: Path) -> npt.NDArray[np.float32]:
    """PLIP: the processor of transformers that its code calls, with CLIP's settings, as vinid/plip has."""
    return _processed("CLIPImageProcessor", picture, {})


def rad_dino(sources: Path, picture: npt.NDArray[np.uint8], folder: Path) -> npt.NDArray[np.float32]:
    """RAD-DINO: the processor of transformers that its package calls."""
    settings = {
        "size": {"shortest_edge": 518},
        "crop_size": {"height": 518, "width": 518},
        "image_mean": [0.5307] * 3,
        "image_std": [0.2583] * 3,
        "resample": 3,
    }
    return _processed("BitImageProcessor", picture, settings)


def _processed(name: str, picture: npt.NDArray[np.uint8], settings: Mapping[str, Any]) -> npt.NDArray[np.float32]:
    import transformers
    from PIL import Image

    if int(transformers.__version__.split(".")[0]) > 4:
        raise SystemExit("the processors of these models are those of transformers 4: pip install transformers==4.46.3")
    made = getattr(transformers, name)(**settings)(Image.fromarray(picture).convert("RGB"), return_tensors="np")
    return np.asarray(made["pixel_values"][0], dtype=np.float32)


def conch(sources: Path, picture: npt.NDArray[np.uint8], folder: Path) -> npt.NDArray[np.float32]:
    """CONCH's transform, with the statistics that its factory gives it."""
    from PIL import Image

    root = sources / "CONCH" / "conch" / "open_clip_custom"
    constants = defined_in(
        root / "constants.py",
        {"OPENAI_DATASET_MEAN", "OPENAI_DATASET_STD", "IMAGENET_DATASET_MEAN", "IMAGENET_DATASET_STD"},
    )
    import typing

    import torchvision.transforms

    space = {**vars(typing), **vars(torchvision.transforms), **constants}
    code = defined_in(root / "transform.py", {"_convert_to_rgb", "image_transform"}, space)
    made = code["image_transform"](448, constants["OPENAI_DATASET_MEAN"], constants["OPENAI_DATASET_STD"])
    return np.asarray(made(Image.fromarray(picture)))


def georsclip(sources: Path, picture: npt.NDArray[np.uint8], folder: Path) -> npt.NDArray[np.float32]:
    """GeoRSCLIP's own transforms."""
    from PIL import Image
    from torchvision import transforms

    code = defined_in(
        sources / "RS5M" / "inference" / "inference_tool.py",
        {"get_preprocess", "_convert_to_rgb"},
        {"transforms": transforms},
    )
    return np.asarray(code["get_preprocess"](image_resolution=224)(Image.fromarray(picture)))


def of_open_clip(sources: Path, picture: npt.NDArray[np.uint8], folder: Path) -> npt.NDArray[np.float32]:
    """open_clip's transforms for a model without settings of its own."""
    import open_clip
    from PIL import Image

    preprocess = open_clip.image_transform(224, is_train=False)
    return np.asarray(preprocess(Image.fromarray(picture)))


PICTURES: Mapping[str, Callable[[Path, npt.NDArray[np.uint8], Path], npt.NDArray[np.float32]]] = {
    "chexzero": chexzero,
    "plip": plip,
    "rad-dino": rad_dino,
    "conch": conch,
    "georsclip-vit-b-32": georsclip,
    "remoteclip-vit-b-32": of_open_clip,
}

VOLUMES: Mapping[str, Callable[[Path, Any, Path], npt.NDArray[np.float32]]] = {
    "ct-clip": ct_clip,
    "hlip-chest-ct": hlip,
    "merlin": merlin,
    "colipri": colipri,
    "m3d-clip": m3d,
}


# --- the models themselves, narrow and shallow, filled with the same numbers ------------------------------------------


def chexzero_vectors(sources: Path, results: Path) -> tuple[dict[str, list[int]], npt.NDArray[Any], npt.NDArray[Any]]:
    """CheXzero's CLIP with two blocks of 64: keys and shapes, the vectors of two pictures and of the texts."""
    import torch

    sys.path.insert(0, str(sources / "CheXzero"))
    from model import CLIP

    model = CLIP(
        embed_dim=32,
        image_resolution=224,
        vision_layers=2,
        vision_width=64,
        vision_patch_size=32,
        context_length=77,
        vocab_size=49408,
        transformer_width=64,
        transformer_heads=1,
        transformer_layers=2,
    ).float()
    shapes = _fill(model)
    with torch.no_grad():
        return (
            shapes,
            np.asarray(model.encode_image(_two(results, "chexzero"))),
            np.asarray(model.encode_text(_tokens())),
        )


def plip_vectors(sources: Path, results: Path) -> tuple[dict[str, list[int]], npt.NDArray[Any], npt.NDArray[Any]]:
    """Transformers' CLIPModel, which PLIP's code calls."""
    import torch
    from transformers import CLIPConfig, CLIPModel

    # transformers makes a head of 64 as OpenAI's code does; its end of a text is the largest index, 49407.
    text = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 1}
    vision = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "num_attention_heads": 1}
    model = CLIPModel(CLIPConfig(text_config={**text, "eos_token_id": 49407}, vision_config=vision, projection_dim=32))
    shapes = _fill(model)
    with torch.no_grad():
        images = model.eval().get_image_features(pixel_values=_two(results, "plip"))
        return shapes, np.asarray(images), np.asarray(model.get_text_features(input_ids=_tokens()))


def conch_vectors(sources: Path, results: Path) -> tuple[dict[str, list[int]], npt.NDArray[Any], npt.NDArray[Any]]:
    """CONCH's CoCa with a narrow trunk, its text tower too; vectors of pictures alone."""
    import torch

    sys.path.insert(0, str(sources / "CONCH"))
    from conch.open_clip_custom.coca_model import CoCa

    narrow = {"context_length": 128, "vocab_size": 320, "width": 48, "heads": 2, "layers": 1}
    model = CoCa(
        embed_dim=32,
        embed_dim_caption=48,
        multimodal_cfg={**narrow, "layers": 0},
        text_cfg={**narrow, "embed_cls": True, "output_tokens": True},
        vision_cfg={
            "layers": 2,
            "width": 64,
            "num_heads": 2,
            "patch_size": 16,
            "image_size": 448,
            "attentional_pool_contrast": True,
            "attentional_pool_caption": True,
            "n_queries_contrast": 1,
            "n_queries_caption": 4,
            "attn_pooler_heads": 8,
            "output_tokens": True,
        },
    ).eval()
    shapes = _fill(model)
    with torch.no_grad():
        images = _two(results, "conch")
        projected = np.asarray(model.encode_image(images, normalize=False))
        return shapes, projected, np.asarray(model.encode_image(images, proj_contrast=False, normalize=False))


def m3d_vectors(sources: Path, results: Path) -> tuple[dict[str, list[int]], npt.NDArray[Any], npt.NDArray[Any]]:
    """M3D-CLIP with a narrow ViT and BERT; needs MONAI 1.3, whose arguments its code uses."""
    import torch
    from transformers import BertConfig, BertModel

    sys.path.insert(0, str(sources / "M3D"))
    from LaMed.src.model.CLIP import M3DCLIP, M3DCLIPConfig

    narrow = {"hidden_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 96}
    with tempfile.TemporaryDirectory() as folder:
        BertModel(BertConfig(**narrow, vocab_size=320)).save_pretrained(folder)
        settings = M3DCLIPConfig(
            language_model_name_or_path=folder, hidden_size=48, mlp_dim=192, num_layers=2, num_heads=2, vocab_size=320
        )
        model = M3DCLIP(settings).eval()
    shapes = _fill(model)
    with torch.no_grad():
        scan = torch.from_numpy(np.load(results / "m3d-clip.framed.npy"))
        image = np.asarray(model.encode_image(scan.reshape(1, 1, 32, 256, 256))[:, 0])
        words = torch.tensor([[101, 7, 250, 33, 102, 0], [101, 12, 102, 0, 0, 0]])
        return shapes, image, np.asarray(model.encode_text(words, (words != 0).long())[:, 0])


def hlip_vectors(sources: Path, results: Path) -> tuple[dict[str, list[int]], npt.NDArray[Any], npt.NDArray[Any]]:
    """HLIP's visual encoder with three narrow blocks under the names of open_clip's files, and its projection."""
    import torch

    sys.path.insert(0, str(sources / "hlip" / "src"))
    from hlip.patch_embed import PatchEmbed3D
    from hlip.visual_encoder import HLIPVisualEncoder

    trunk = HLIPVisualEncoder(
        max_num_scans=1,
        slice_attn_indexes=(0, 1),
        scan_attn_indexes=(2,),
        img_size=(112, 336, 336),
        patch_size=(8, 24, 24),
        in_chans=1,
        depth=3,
        embed_dim=48,
        num_heads=2,
        num_classes=0,
        no_embed_class=True,
        pos_embed="none",
        embed_layer=PatchEmbed3D,
    )
    head = torch.nn.Sequential()
    head.add_module("proj", torch.nn.Linear(48, 32, bias=False))
    model = torch.nn.Module()
    model.visual = torch.nn.Module()
    model.visual.trunk, model.visual.head = trunk, head
    shapes = _fill(model.eval())
    scans = [np.load(results / f"hlip-chest-ct.{name}.npy") for name in ("long", "wide")]
    with torch.no_grad():
        features = trunk(torch.from_numpy(np.stack(scans)).reshape(2, 1, 1, 112, 336, 336))
        return shapes, np.asarray(head(features)), np.asarray(features)


def merlin_vectors(sources: Path, results: Path) -> tuple[dict[str, list[int]], npt.NDArray[Any], npt.NDArray[Any]]:
    """Merlin's inflated ResNet with one block a stage, under the names of its file."""
    import torch
    from torchvision.models.resnet import Bottleneck, ResNet

    folder = _package("merlin")
    for name in ("merlin", "merlin.models"):  # whose __init__ asks for more than its networks need
        module = type(sys)(name)
        module.__path__ = [str(folder / "models" if name.endswith("models") else folder)]
        sys.modules[name] = module
    from merlin.models.i3res import I3ResNet

    model = torch.nn.Module()
    model.encode_image = torch.nn.Module()
    inflated = I3ResNet(ResNet(Bottleneck, [1, 1, 1, 1]), class_nb=3, conv_class=True)
    model.encode_image.i3_resnet = inflated
    shapes = _fill(model.eval())
    with torch.no_grad():
        contrastive, phenotypes = inflated(torch.from_numpy(inputs().cube()))
        return shapes, np.asarray(contrastive), np.asarray(phenotypes)


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _fill(model: Any) -> dict[str, list[int]]:
    import torch

    shapes = {key: list(value.shape) for key, value in model.state_dict().items() if value.is_floating_point()}
    model.load_state_dict({k: torch.from_numpy(v) for k, v in inputs().filled(shapes).items()}, strict=False)
    return shapes


def _two(results: Path, model: str) -> Any:
    import torch

    return torch.from_numpy(np.stack([np.load(results / f"{model}.{name}.npy") for name in ("wide", "grey")]))


def _tokens() -> Any:
    import open_clip

    return open_clip.get_tokenizer("ViT-B-32")(list(inputs().TEXTS))  # OpenAI's byte pairs, which all of these use


VECTORS: Mapping[str, Callable[[Path, Path], tuple[dict[str, list[int]], npt.NDArray[Any], npt.NDArray[Any]]]] = {
    "chexzero": chexzero_vectors,
    "plip": plip_vectors,
    "conch": conch_vectors,
    "m3d-clip": m3d_vectors,
    "hlip-chest-ct": hlip_vectors,
    "merlin": merlin_vectors,
}


def given_to(model: str) -> Mapping[str, Any]:
    """The inputs of a model by name."""
    module = inputs()
    if model in VOLUMES:
        found: Mapping[str, Any] = module.grey_scans() if model == "m3d-clip" else module.scans()
        return found
    pictures: Mapping[str, Any] = module.pictures()
    return pictures


def peers(sources: Path, results: Path, only: set[str]) -> None:
    """Write what the models' own code makes."""
    results.mkdir(parents=True, exist_ok=True)
    for model, made_by in {**VOLUMES, **PICTURES}.items():
        if only and model not in only:
            continue
        for name, given in given_to(model).items():
            with tempfile.TemporaryDirectory() as folder:
                made = made_by(sources, given, Path(folder))
            np.save(results / f"{model}.{name}.npy", made)
            print(model, name, made.shape, made.dtype, float(made.min()), float(made.max()), flush=True)
    for model, vectors_of in VECTORS.items():
        if only and model not in only:
            continue
        shapes, first, second = vectors_of(sources, results)
        kept = {"layout": shapes, "first": first.round(6).tolist(), "second": second.round(6).tolist()}
        (results / f"{model}.vectors.json").write_text(json.dumps(kept), "utf-8")
        print(model, len(shapes), "keys", first.shape, second.shape, flush=True)


# --- voxtile ---------------------------------------------------------------------------------------------------------


def compare(results: Path) -> None:
    """Print the largest difference between voxtile and each array."""
    from voxtile.data import PublishedPreset

    for path in sorted(results.glob("*.npy")):
        model, name = path.name.removesuffix(".npy").split(".")
        own = PublishedPreset(model=model)(inputs().sample(given_to(model)[name]), None).numpy()
        other = np.load(path).reshape(own.shape)
        print(f"{model:22}{name:10}{float(np.abs(own - other).max()):.1e}", flush=True)


def numbers(results: Path, out: Path) -> None:
    """Keep the mean and a few values of each array, at places that hold the picture rather than its padding."""
    kept: dict[str, dict[str, Any]] = {}
    for path in sorted(results.glob("*.npy")):
        model, name = path.name.removesuffix(".npy").split(".")
        values = np.load(path)
        inside = np.flatnonzero(values != values.flat[0])
        places = np.random.default_rng(0).choice(inside, _KEPT, replace=False)
        kept.setdefault(model, {})[name] = {
            "shape": values.shape,
            "mean": round(float(values.mean(dtype=np.float64)), 7),
            "places": sorted(places.tolist()),
            "values": [round(float(values.flat[place]), 6) for place in sorted(places.tolist())],
        }
    for path in sorted(results.glob("*.vectors.json")):
        kept[path.name.split(".")[0]]["vectors"] = json.loads(path.read_text("utf-8"))
    rows = [
        f'"{model}": {{\n' + ",\n".join(f'"{name}": {json.dumps(row)}' for name, row in found.items()) + "\n}"
        for model, found in kept.items()
    ]
    out.write_text("{\n" + ",\n".join(rows) + "\n}\n", "utf-8")


def main() -> None:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("peers", "compare", "numbers"))
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--only", nargs="*", default=())
    given = parser.parse_args()
    if given.step == "peers":
        peers(given.paths[0].resolve(), given.paths[1], set(given.only))
    elif given.step == "compare":
        compare(given.paths[0])
    else:
        numbers(given.paths[0], given.paths[1])


if __name__ == "__main__":
    main()
