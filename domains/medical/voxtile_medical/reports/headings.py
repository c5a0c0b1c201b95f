"""Headings of report sections, as they stand in ordinary reports.

Sections by the ACR practice parameter for communication of diagnostic imaging findings; forms from RSNA RadReport
templates and from the College of American Pathologists' protocols.
"""

_HEADINGS = {
    "findings": """findings|finding|observations|result|results|report|chest|abdomen|pelvis|abdomen and pelvis|
        abdomen/pelvis|thorax|head|neck|chest, abdomen and pelvis|findings and impression|findings/impression|
        radiographic findings|imaging findings|ct findings|additional findings|other findings|microscopy|
        microscopic description|microscopic findings|gross description|macroscopy|body of report""",
    "impression": """impression|impressions|conclusion|conclusions|opinion|summary|assessment|diagnosis|final diagnosis|
        imp|interpretation|radiological diagnosis|final impression|overall impression|comment|conclusion/opinion""",
    "indication": """indication|indications|clinical indication|clinical indications|reason for exam|
        reason for examination|reason for study|reason for the exam|reason for this examination|reason for visit|
        clinical information|clinical details|clinical question|clinical data|clinical statement|clinical notes|
        indication for exam|indications for exam|indication/history|history/indication|order diagnosis|
        preoperative diagnosis|pre-op diagnosis|question|request|symptoms|signs and symptoms|chief complaint""",
    "history": """history|clinical history|past history|medical history|past medical history|family history|pmh|
        surgical history|past surgical history|social history|medications|history of present illness|hpi|anamnesis""",
    "comparison": """comparison|comparisons|comparison study|comparison studies|comparison exam|prior|prior study|
        prior studies|prior exam|previous|previous study|previous studies|prior imaging|compared with|compared to""",
    "technique": """technique|techniques|procedure|procedures|protocol|exam|examination|exams|contrast|contrast media|
        exam type|type of exam|study|study type|examination technique|technical factors|scan technique|views|
        radiation dose|dose|ctdi|acquisition|modality|exam date|date of exam|procedure description""",
    "recommendation": """recommendation|recommendations|plan|follow-up|follow up|followup|advice|suggestion|
        suggestions|recommended follow-up""",
    "signature": """signed|signed by|electronically signed by|electronically signed|dictated by|reported by|
        transcribed by|attending|radiologist|verified by|approved by|addendum by""",
}
SECTION_OF = {" ".join(heading.split()): section for section, text in _HEADINGS.items() for heading in text.split("|")}
