"""The words of margins: what an edge of resection is called, and what says that it is free, close or involved."""

from __future__ import annotations

import re

NOUN = (
    r"(?:margins?|(?:resection|excision|surgical|transection)\s+(?:lines?|edges?|planes?|surfaces?"
    r"|ends?)|(?:inked|cut|resected|specimen)\s+(?:edges?|surfaces?|lines?|ends?)|(?:edges?|lines?"
    r"|planes?)\s+of\s+(?:resection|excision)|dough?nuts?|donuts?"
    r"|(?:peripheral|lateral|medial|deep|biopsy|side|outer|superior|inferior|radial|posterior|anterior"
    r"|shave)\s+(?:edges?|aspects?)"
    r"|(?:edges?|base|bases|periphery|tips?)\s+of\s+(?:the\s+)?(?:specimen|biopsy|excision|section|shave|tissue"
    r"|resection|curettings)"
    r"|(?:diathermied|diathermy|cauteri[sz]ed|cautery|tissue|section|ink(?:ed)?)\s+edges?"
    r"|edges?\s+of\s+(?:the\s+)?sections?"
    r"|ends?\s+of\s+(?:the\s+)?(?:bowel|specimen|colon|ureter|resection)"
    r"|(?:specimen|biopsy|excision|shave|polypectomy)\s+base|base\s+of\s+(?:the\s+)?(?:polypectomy"
    r"|polyp)|(?:polyp\s+)?stalk"
    r"|(?:transection|stapled?|staple|excision|resection|cut|suture)\s+(?:lines?|ends?|rings?|rows?)"
    r"|anastomotic\s+rings?"
    r"|clearance(?=\s*(?:of|is|:|=)?\s*[<>≥≤]?\s*\d)|^(?:the\s+)?edges?(?=\s+(?:is|are|was|were)\b))"
)
_WHERE = (
    r"(?P<where>(?:(?:[A-Za-z][\w'’&.-]*|\d{1,2}\s?o['’]?clock"
    r"|\d{1,2}\s?-\s?\d{1,2}\s?o['’]?clock)(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+or\s+|\s*/\s*|\s+)){0,6}?)"
)
MARGIN = re.compile(rf"\b{_WHERE}(?P<noun>{NOUN}\b|CRM\b|SM(?=\s*[+(−-])|RM(?=\s*[+(−-]))", re.IGNORECASE)
BARE = re.compile(rf"\b{NOUN}\b|\bCRM\b|\bSM(?=\s*[+(−-])|\bRM(?=\s*[+(−-])", re.IGNORECASE)
# Edges that are nobody's resection.
OTHER_EDGE = re.compile(
    r"\bplacent|\binfarct|costal margin|lid margin|anal margin|(?:pushing|infiltrat\w+|irregular"
    r"|well[- ](?:defined|circumscribed)|ill[- ]defined|circumscribed|smooth|lobulated|advancing|tumou?r"
    r"|lesion(?:al)?|invasive|leading|ulcer|spiculated|stellate)\s+(?:margin|border|edge)",
    re.IGNORECASE,
)
EXCISED = re.compile(
    r"(?P<in4>\b(?:has|have|was|were|is|are)\s+not\s+(?:been\s+)?(?:excised|resected"
    r"|removed)\s+(?:completely|entirely|fully|in"
    r"\s+full|in\s+toto)|\b(?:tumou?r|lesion|carcinoma|melanoma|n[ae]+vus)\s+(?P<cut>(?:is|was"
    r"|has\s+been)\s+(?:focally\s+)?transected))"
    r"|\b(?:(?P<in>incomplete(?:ly)?|not\s+(?:completely|fully|entirely)|partial(?:ly)?)|(?:appears?\s+"
    r"|seems?\s+|regarded as\s+)?(?:complete(?:ly)?|fully|entirely|widely|adequate(?:ly)?"
    r"|in toto))\s+(?:local\s+)?(?:excis\w+|resect\w+|remov\w+|enucleat\w+)"
    r"|(?P<in3>\b(?:not|non)[\s-]+in[\s-]sano)|\bin[\s-]sano\b"
    r"|\b(?:excision|resection|removal)\s+(?:is|was|appears?|seems?|looks?"
    r"|:)?\s*(?:to be\s+)?(?:(?P<in2>incomplete|not complete|inadequate)|complete|adequate)\b",
    re.IGNORECASE,
)
_TUMOUR = (
    r"(?:residual\s+|invasive\s+|malignan\w+\s+|in[- ]situ\s+|viable\s+)*(?:tumou?rs?|carcinomas?"
    r"|adenocarcinomas?|cancers?|malignancy|neoplasm|neoplasia|dysplasia|disease|melanoma|lesion|DCIS"
    r"|LCIS|SCC|BCC|HGD|cells|atypia|sarcoma)"
)
_STATES: tuple[tuple[str, str], ...] = (
    (
        "unknown",
        r"not applicable|\bn/a\b|\bpending\b|not (?:submitted|inked|received|reported)|see (?:below|comment|note)",
    ),
    (
        "cannot be assessed",
        r"(?:cannot|can ?not|could not) be (?:\w+ )?(?:commented|judged|stated|assessed|evaluated"
        r"|determined|excluded|ascertained"
        r"|judged)|not (?:evaluable|assessable|interpretable|assessed|evaluated)|unassessable|unevaluable"
        r"|not orient\w+|unorient\w+|indeterminate|equivocal|difficult to (?:assess|evaluate)|precludes?"
        r" (?:\w+ ){0,2}(?:assessment"
        r"|evaluation)|uncertain|suspicious|possibly|probably involved|questionabl\w+",
    ),
    (
        "close",
        r"\b(?:extend\w*|com(?:es?|ing)|reach\w*|approach\w*)\s+(?:to\s+)?(?:with)?in\s+(?:less than\s+"
        r"|<\s*)?\d|within\s+(?:less than\s+|<\s*)?\d|\bclose(?:ly|st)?\b(?=\s+(?:at|to|\(|[<\d])|\s*(?:$"
        r"|[,.;]))|\b(?:is|are|was|were|very)\s+(?:very\s+)?close\b|\bclose\s+(?:\w+\s+)?margin"
        r"|approach(?:es|ing|ed)|\bnear(?:s|ing)?\b|narrow(?:ly)?",
    ),
    (
        "negative",
        rf"tumou?r[- ]free|\bnot\s+(?:definitely\s+)?(?:involved?|seen|present|identified|touched|reached"
        rf"|transected|positive|breached|infiltrated|affected)|"
        rf"\bdevoid of\b|\black(?:s|ing)?\b|(?<=[a-z])\s[-−](?=\s*(?:$|[,.;]))|\b(?:does|do"
        rf"|did)\s+not\s+\w+|\b(?:negative|neg|free|uninvolved|tumou?r-free|unremarkable"
        rf"|spared)\b|\bclear(?:s|ed|ance|ly clear)?\b|\b(?:no|without)\s+(?:evidence of\s+)?{_TUMOUR}"
        rf"|\bnot at\b|"
        r"\baway\b|\d\s*(?:mm|cm)\s+(?:from|clear|away|to\s+(?:the\s+)?(?:\w+\s+){0,3}margin)|\(\s*-\s*\)"
        r"|(?<=SM)\s*[-−]|(?<=RM)\s*[-−]|\buninvolved\b|no involvement|none involved|all (?:clear|negative)",
    ),
    (
        "positive",
        r"\bnot\s+(?:free|clear|negative)\b|\b(?:positive|pos|involved|involvement|transect\w*|touch\w*"
        r"|reach\w*|extend\w*\s+(?:up\s+)?(?:to|into|onto)|abut\w*|infiltrat\w*|invad\w*|breach\w*|compromised?"
        r"|affected|contaminat\w*|engag\w*|occupied|permeat\w*|violat\w*|exposed|implicated|R[12](?=\W|$)"
        r"|contiguous|incomplete(?:ly)?)\b|"
        r"(?P<subject>\b(?:tumou?r|carcinoma|dysplasia|DCIS|melanoma|disease|cells)\s+)?\b(?:is\s+|are\s+)?"
        r"(?:focally\s+|present\s+|seen\s+|found\s+|identified\s+)(?:at|on|in|across)\s+(?:the\s+)?"
        r"|(?P<subject2>\b(?:tumou?r|carcinoma|dysplasia|DCIS|melanoma|disease|cells)\s+)(?:at|on)\s+(?:the\s+)?"
        r"|\bon ink\b|\bat (?:the )?ink|(?<=SM)\s*\(?\+|(?<=RM)\s*\(?\+|(?<=[a-z])\s\+(?=\s*(?:$|[,.;]))"
        r"|\bdirectly at\b|\(\s*\+\s*\)",
    ),
)
PATTERNS = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _STATES)
