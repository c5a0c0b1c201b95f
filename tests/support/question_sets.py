"""Sets of questions and conversations in their owners' layouts, written small."""

import io
import json
import pickle

import numpy as np
from PIL import Image


def picture(path, seed=0, form="JPEG", size=(40, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    path.write_bytes(buffer.getvalue())


def dump(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), "utf-8")


def vqa_rad(root):
    rows = [
        ("a.jpg", "freeform", "PRES", "Is there a mass?", "Yes", "CLOSED"),
        ("a.jpg", "test_para", "POS", "Where is it?", "left lobe", "OPEN "),
        ("b.jpg", "freeform", "PRES", "What is seen?", "A fracture", "OPEN "),
        ("b.jpg", "freeform", "COUNT", "How many ribs?", 12, "OPEN "),
    ]
    names = ("image_name", "phrase_type", "question_type", "question", "answer", "answer_type")
    dump(root / "VQA_RAD Dataset Public.json", [dict(zip(names, row, strict=True)) for row in rows])
    for number, name in enumerate(("a.jpg", "b.jpg")):
        picture(root / "VQA_RAD Image Folder" / name, number)


def slake(root):
    def row(name, question, answer, kind, lang="en", modality="MRI"):
        return {"img_name": f"{name}/source.jpg", "question": question, "answer": answer, "q_lang": lang,
                "content_type": kind, "modality": modality, "answer_type": "OPEN"}  # fmt: skip

    asked = row("xmlab0", "Where is the liver?", "Right", "Position")
    dump(root / "train.json", [asked, row("xmlab0", "?", "!", "Organ", "zh")])
    dump(root / "validate.json", [row("xmlab1", "Is this normal?", "No", "Abnormality", modality="X-Ray")])
    dump(root / "test.json", [row("xmlab2", "How many kidneys?", "2", "Quantity", modality="CT")])
    for number in range(3):
        picture(root / f"imgs/xmlab{number}/source.jpg", number)
    dump(root / "imgs/xmlab0/detection.json", [{"Liver": [4.0, 2.0, 10.0, 6.0]}])


def path_vqa(root):
    for part in ("train", "val", "test"):
        rows = [{"image": f"{part}_0001", "question": "What is shown?", "answer": "adenocarcinoma"}]
        (root / "qas" / part).mkdir(parents=True)
        (root / "qas" / part / f"{part}_qa.pkl").write_bytes(pickle.dumps(rows))
        picture(root / f"images/{part}/{part}_0001.jpg", len(part))


def rsvqa(root):
    for number, part in enumerate(("train", "val", "test")):
        questions = [
            ("presence", "Is a road there?", True), ("comp", "More roads than fields?", True),
            ("count", "How many roads?", False),
        ]  # fmt: skip
        asked = [
            {"id": n, "img_id": number, "type": kind, "question": text, "answers_ids": [7 + n], "active": active}
            for n, (kind, text, active) in enumerate(questions)
        ]
        told = [{"id": n, "answer": a, "active": True} for n, a in ((7, "yes"), (8, "no"), (9, "4"))]
        dump(root / f"LR_split_{part}_questions.json", {"questions": asked})
        dump(root / f"LR_split_{part}_answers.json", {"answers": told})
        picture(root / f"Images_LR/{number}.tif", number, "TIFF")


def llava_med(root):
    said = [("human", "<image>\nWhat is shown?"), ("gpt", "A CT."), ("human", "Of what?"), ("gpt", "Of the chest.")]
    turns = [{"from": who, "value": text} for who, text in said]
    dump(root / "llava_med_instruct_10k.json", [{"id": "1", "image": "1.jpg", "conversatons": turns}])
    picture(root / "images/1.jpg")


def geochat(root):
    turns = [{"from": "human", "value": "<image>\n[grounding] Describe it."},
             {"from": "gpt", "value": "There is <p>a ship</p> {<10><20><50><40>|<30>} at the pier."}]  # fmt: skip
    dump(root / "GeoChat_Instruct.json", [{"id": "1", "image": "P0001.png", "conversations": turns}])
    picture(root / "P0001.png", form="PNG")


def conversations(root):
    turns = [{"from": "human", "value": "<image>What?"}, {"from": "gpt", "value": "A nevus."}]
    rows = [{"image": "x/1.png", "conversations": turns}, {"id": 2, "conversations": turns}]  # the last has no picture
    (root / "all.jsonl").parent.mkdir(parents=True, exist_ok=True)
    (root / "all.jsonl").write_text("\n".join(map(json.dumps, rows)))
    picture(root / "x/1.png", form="PNG")


def path_mmu(root):
    def row(number, image, answer):
        options = ["A) granuloma", "B) gland", "C) necrosis"]
        return {"No": number, "img": image, "question": "What is it?", "options": options, "answer": answer}

    parts = {"val": [row(1, "a.jpg", "A) granuloma")], "test_tiny": [row(2, "b.jpg", "B"), row(3, "b.jpg", "D) none")]}
    dump(root / "data.json", {"PubMed": parts, "PathCLS": {"test": [row(1, "c.jpg", "C) Necrosis")]}})
    for number, name in enumerate("abc"):
        picture(root / f"images/{name}.jpg", number)


def gmai_vl(root):
    base, image = root / "GMAI-VL-5.5M-OpenSource", "images/2d/cls/{}/set/train/{}.png"
    talk = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A kidney."}]
    denied = [talk[0], {"from": "gpt", "value": "no"}]
    chinese = [{"from": "human", "value": "\u8fd9\u662f\u4ec0\u4e48"}, {"from": "gpt", "value": "\u80be"}]
    rows = {
        "Caption-1.7M": [{"id": 1, "image": image.format("ct", 1), "conversations": talk}],
        "Percept-1.3M": [
            {"id": 2, "image": [image.format("dermoscopy", 2)], "conversations": denied},
            {"id": 3, "image": [image.format("ct", 1), image.format("ct", 4)], "conversations": talk},
            {"id": 4, "image": image.format("ct", 1), "conversations": chinese},
        ],
    }
    (base / "annotations").mkdir(parents=True)
    for name, own in rows.items():
        (base / f"annotations/GMAI-MM-{name}.jsonl").write_text("\n".join(map(json.dumps, own)))
    (base / "annotations/GMAI_Text_Single_1M.jsonl").write_text(json.dumps({"conversations": talk}))
    for number, kind in ((1, "ct"), (2, "dermoscopy")):
        picture(base / image.format(kind, number), number, "PNG")


def medmax(root):
    def row(text, image="images/pmc/1.jpg", credential="no"):
        return {"text": text, "image_path": image, "task": "VQA", "source": "pmc", "credential": credential,
                "tokens": [0, 2]}  # fmt: skip

    turn = "<reserved08706>"
    train = [
        row(f"<image> What is shown?{turn}A liver."), row(f"Is it large?<image>{turn}Yes{turn}How large?{turn}20 cm"),
        row(f"Draw a liver.{turn}Here it is: <image>"), row(f"<image>What?{turn}A lung.", None, "yes"),
    ]  # fmt: skip
    root.mkdir(parents=True, exist_ok=True)
    (root / "train.jsonl").write_text("\n".join(map(json.dumps, train)))
    (root / "validation.jsonl").write_text(json.dumps(row(f"<image>Is it a cyst?{turn}No.", "images/pmc/2.jpg")))
    for number in (1, 2):
        picture(root / f"images/pmc/{number}.jpg", number)


# Recipe → (what writes its layout, samples that come of it, further words), as of other sets.
TALK_LAYOUTS = {
    "vqa-rad": (vqa_rad, 2, ()),
    "slake": (slake, 3, ()),
    "path-vqa": (path_vqa, 3, ()),
    "rsvqa": (rsvqa, 3, ()),
    "llava-med": (llava_med, 1, ()),
    "geochat": (geochat, 1, ()),
    "conversations": (conversations, 1, ()),
    "path-mmu": (path_mmu, 3, ()),
    "gmai-vl": (gmai_vl, 2, ()),
    "medmax": (medmax, 2, ()),
}

# Recipe → (what the download lacks, the name of it that must be said).
TALK_LACKING = {
    "vqa-rad": ("VQA_RAD Image Folder/a.jpg", "'VQA_RAD Image Folder/a.jpg'"),
    "slake": ("test.json", "'test.json'"),
    "path-vqa": ("qas/test/*", "'qas/test/test_qa.pkl'"),
    "rsvqa": ("LR_split_val_answers.json", "'LR_split_val_answers.json'"),
    "llava-med": ("images/*", "'1.jpg'"),
    "geochat": ("P0001.png", "'P0001.png'"),
    "conversations": ("x/*", "'x/1.png'"),
    "path-mmu": ("images/a.jpg", "'images/a.jpg'"),
    "gmai-vl": ("GMAI-VL-5.5M-OpenSource/images/2d/cls/ct/set/train/*", "ct/set/train/1.png'"),
    "medmax": ("validation.jsonl", "'validation.jsonl'"),
}
