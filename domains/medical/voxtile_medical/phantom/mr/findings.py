"""The findings of the MR phantom and how common they are."""

from __future__ import annotations

from voxtile_medical.phantom.ct.findings import FindingKind

FINDINGS: tuple[FindingKind, ...] = (
    FindingKind("enhancing_mass", 0.22, True, "enhancing mass"),
    FindingKind("vasogenic_oedema", 0.20, True, "vasogenic oedema"),
    FindingKind("acute_infarct", 0.22, True, "acute infarct"),
    FindingKind("intracranial_haemorrhage", 0.18, True, "intraparenchymal haemorrhage"),
    FindingKind("meningioma", 0.18, True, "meningioma"),
    FindingKind("white_matter_lesions", 0.22, False, "white matter lesions"),
    FindingKind("cerebellar_lesion", 0.18, True, "cerebellar lesion"),
    FindingKind("subdural_collection", 0.18, True, "subdural collection"),
    FindingKind("arachnoid_cyst", 0.16, True, "arachnoid cyst"),
    FindingKind("hydrocephalus", 0.16, False, "hydrocephalus"),
    FindingKind("midline_shift", 0.16, True, "midline shift"),
    FindingKind("atrophy", 0.20, False, "atrophy"),
)
CONCEPTS: tuple[str, ...] = tuple(kind.concept for kind in FINDINGS)
