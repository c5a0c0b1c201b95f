"""What a clause tells of the patient, relatives, an earlier time or other examinations, not of this specimen."""

from __future__ import annotations

import re

# The patient as subject: "62-year-old woman with …", "the patient had …", "he was told of …".
_PATIENT = re.compile(
    r"\W*(?:(?:the|this|an?|our)\s+)?(?:(?:\w+[\s-]+){0,2}?(?:patient|pt)\b(?!['’]s|\s+(?:name|id|number))"
    r"|(?:he|she)\b|\d{1,3}\s?[-/]?\s?(?:M|F)\b(?!\s*[\d=%])"
    r"|\d{1,3}[\s-]?(?:y\.?/?o\.?|yrs?|years?|months?)\b[\s-]*(?:old|of\s+age)?"
    r"|(?:\w+[\s-]+){0,2}?(?:man|woman|lady|gentleman|boy|girl)\b)",
    re.IGNORECASE,
)
_RELATIVE = re.compile(
    r"\b(?:mother|father|sister(?!\s+mary)|brother|sibling|aunt|uncle|cousin|grand(?:mother|father|parent|child)"
    r"|son|daughter(?!\s+(?:cell|nodul|cyst))|niece|nephew|relatives?|kindred|famil(?:y|ial)\s+history"
    r"|(?:in|runs in|within)\s+(?:the|his|her)\s+family)s?\b",
    re.IGNORECASE,
)
# What others saw, suspected or wrote.
_DOCTOR = (
    r"(?:surgeon|endoscopist|clinician|radiologist|dermatologist|gyna?ecologist|urologist|oncologist"
    r"|gastroenterologist"
    r"|(?:requesting|referring|treating)\s+\w+|GP|team|letter|note|card|form|requisition|referral"
    r"|imaging|mammogram|CT|MRI"
    r"|scan|ultrasound|x-?ray|radiograph|endoscopy|colonoscopy|dermoscopy)"
)
_SAYS = (
    r"(?:speak|spoke|read|indicat|rais|presum|describ|report|mention|suspect|saw|see|stat|suggest|ask"
    r"|quer|question|note"
    r"|noted|say|said|thought|think|wonder|list|found|want|request|favou?r|show|reveal|demonstrat"
    r"|pointed|diagnos|consider)"
)
_VIEWED = (
    r"(?:clinical(?:ly)?|endoscop(?:y|ic(?:ally)?)|radiolog(?:y|ic(?:al)?(?:ly)?)|sonograph\w+"
    r"|mammograph\w+|colposcop\w+"
    r"|cystoscop\w+|dermoscop\w+|colonoscop\w+|bronchoscop\w+|gastroscop\w+)"
)
_OTHERS = re.compile(
    rf"\W*(?:{_VIEWED}\b(?!\s+(?:biops|forceps|fluid|(?:mucosal\s+)?resection|polypectom|specimen|wash"
    rf"|brush|ultrasound))"
    r"|(?:on|at|by|per)\s+(?:imaging|CT|MRI?|PET|ultrasound|US|\w+scopy|mammography|laparoscopy"
    r"|clinical\s+examination"
    r"|x-?ray)\b"
    rf"|(?:(?:the|an?|our)\s+)?(?:\w+\s+)?{_DOCTOR}\s+(?:\w+\s+){{0,2}}?{_SAYS}\w*"
    r"|suspected\s+(?:clinically|radiologically)|(?:h\s?/\s?o|hx|pmhx?)\b|(?:past\s+|remote\s+"
    r"|known\s+)?history\s+of\b)",
    re.IGNORECASE,
)
_TREATED = (
    r"(?:removed|excised|resected|treated|diagnosed|operated|irradiated|ablated|had|has\s+had|underwent"
    r"|known|biopsied"
    r"|transplant\w*|surgery|chemotherapy|radiotherapy|radiation|therapy|treatment|\w+ectomy|excision|biopsy|since"
    r"|history|hx|melanoma|carcinoma|cancer|lymphoma|tumou?r|primary)"
)
_YEAR = (
    r"(?<!WHO )(?<!FIGO )(?<!AJCC )(?<!UICC )(?<!CAP )(?<!ISUP )"
    r"\b(?:19[5-9]\d|20[0-4]\d)\b(?!\s*(?:criteria|classif|WHO))"
)
_PAST = re.compile(
    r"\bstate\s+(?:after|post|following)\b"
    rf"|\b{_TREATED}\b[^;]{{0,60}}?\b(?:in|of|on|from|since|,)?\s*(?:\w+\s+|\d{{1,2}}/)?{_YEAR}"
    rf"|^\W*(?:in|since|during)\s+(?:\w+\s+)?{_YEAR}"
    r"|\b(?:\d+|one|two|three|four|five|six|seven|eight|nine|ten|several|many|some|a\s+few|a\s+couple\s+of)?\s*"
    r"(?:years?|yrs?|months?|weeks?|decades?)\s+(?:ago|earlier|previously|back|before|prior)\b"
    r"|\bfor\s+(?:the\s+past\s+|over\s+)?(?:\d+|several|many|some)\s+(?:years|yrs|months)\b",
    re.IGNORECASE,
)
_SAMPLE = (
    r"(?:biops(?:y|ies)|specimens?|samples?|excisions?|re-?excisions?|resections?|cores?|aspirates?|smears?|nodes?"
    r"|marrow|trephine|curettings|sections?|slides?|tissue|material|mucosa|lesion|polyp|histolog\w+|microscop\w+"
    r"|cytolog\w+)"
)
# From here on it is about the specimen again.
_RESUMES = re.compile(
    r"[,:.]?\s*(?:\b(?:but|and|while|whereas|however)\s+)?\b(?:now|today['’]?s?|currently|at\s+present|presently"
    rf"|(?:histologically|microscopically|pathologically|cytologically|on\s+histology|on\s+microscopy|under\s+the"
    rf"\s+microscope)\b"
    rf"|(?:the\s+)?(?:current|present|new|this|these|submitted)\s+(?:\w+\s+){{0,2}}?{_SAMPLE}"
    rf"|(?:the\s+)?{_SAMPLE}\s*(?::|(?:from\s+[\w\s]{{1,30}}?\s+|today\s+|now\s+)?(?:shows?|showed|reveals?|revealed"
    r"|demonstrat\w+|contains?|confirms?|consists?|displays?|is|are|was|were)\b))",
    re.IGNORECASE,
)
_QUOTED = re.compile(
    r"\b(?P<lead>label(?:l?ed)?|designated|submitted|sent|marked|received|requested|entitled"
    r"|identified)(?P<more>\s+(?:\w+"
    r"\s+){0,3}?(?:as\s+)?)[\"“‘'](?P<name>[^\"”’']{1,80})[\"”’']",
    re.IGNORECASE,
)


# "Fundic gland polyposis in a patient whose brother has FAP": what stands before is of the specimen.
_IN_PATIENT = re.compile(
    r"\s+in\s+(?:an?|this|our)\s+(?:[\w-]+\s+){0,3}?(?:patient|pt|man|woman|boy|girl|child|gentleman|lady|carrier)\b"
    r"\s*,?\s*(?:whose|with|who|known|previously|after|on|treated)\b.*$",
    re.IGNORECASE | re.DOTALL,
)


def of_specimen(clause: str) -> str:
    """A clause without what it tells of anything but the specimen; empty where that is all of it.

    Examples:
        >>> of_specimen("In 2019 a melanoma was excised from the back.")
        ''
        >>> of_specimen("Clinically a lipoma, histologically this is an angiolipoma")
        'histologically this is an angiolipoma'
    """
    clause = _QUOTED.sub(lambda match: match["lead"] + match["more"], clause)
    clause = _IN_PATIENT.sub("", clause)
    told = _PATIENT.match(clause) or _OTHERS.match(clause) or _RELATIVE.search(clause) or _PAST.search(clause)
    if told is None:
        return clause
    resumed = _RESUMES.search(clause, 1)
    return clause[resumed.start() :].lstrip(" ,:.") if resumed is not None else ""
