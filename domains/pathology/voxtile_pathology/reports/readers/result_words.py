"""The words of results of stains and tests, and where they stand beside the names of markers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from voxtile_pathology.reports.text.quantities import PERCENT

# Words that stand between a marker and its result and say nothing of it.
_FILL = (
    r"\)?(?:\s|[,:=~]|[-–—](?=\s)|(?<=\w)[-–](?=(?:pos|neg|mut|wild|low|high|rearr|ampl|defic|profic|null|react"
    r"|stain|express|non))|\b(?:is|are|was|were|be|been|status|expression|expressed"
    r"|immunostain(?:s|ing)?|immunohistochemistry|immunohistochemical|immunoreactivity|immunoexpression|"
    r"ihc|ish|stain(?:s|ing)?|shows?|demonstrates?|reveals?|displays?|has|have|nuclear|cytoplasmic|granular"
    r"|dot[- ]?like|golgi|perinuclear|linear|circumferential"
    r"|basolateral|apical|luminal|paranuclear|membran(?:e|ous)|diffuse(?:ly)?|strong(?:ly)?|weak(?:ly)?"
    r"|moderate(?:ly)?|"
    r"focal(?:ly)?|patchy|variabl[ey]|uniform(?:ly)?|intense(?:ly)?|scores?|by|both|all|index|labell?ing"
    r"|receptors?|proteins?|overall|proliferation|proliferative|in|of|"
    r"the|tumou?r|tumou?ral|neoplastic|lesional|malignant|cells?|on|an?|markers?|with|result|results"
    r"|intensity|gene|mutation|status|analysis|testing|approximately|about|around|ca\.?|up to|estimated"
    r"|at|"
    r"to be|also|tps|cps|promoter|rearrangement|fusion|amplification|hot\s?spot|estimated|clone|each"
    r"|only|very|entirely|completely|remain|remains|appear|appears|found|pattern|type|aberrant"
    r"|block(?:-type)?)\b"
    r"|\((?!\s*(?:[+\-−–]|pos|neg|\d+\s?[%+/)]|<|>|strong|weak|equiv|score|lost|loss|intact|retained|wild|mut"
    r"|null))[^()]{0,25}\))*?"
)
_RESULTS: tuple[tuple[str, str], ...] = (
    (
        "pending",
        r"pending|to follow|ordered|not (?:performed|done|tested|available|reported|evaluated|applicable)"
        r"|awaited|will be|in progress|insufficient|(?:was|were)? ?(?:performed|requested)(?! and)"
        r"|cannot be (?:determined|assessed)|uninterpretable|indeterminate",
    ),
    (
        "equivocal",
        r"equivocal|non-?contributory|uninformative|2\+(?!\s*positive)(?=.{0,30}equivocal)|borderline|inconclusive",
    ),
    ("not amplified", r"not amplified|non-?amplified|unamplified|no (?:evidence of )?(?:gene )?amplification"),
    ("amplified", r"amplified|amplification (?:detected|present|identified)"),
    (
        "wild type",
        r"wild[\s-]?type(?: pattern)?|\bWT\b|not mutated|unmutated|no (?:pathogenic )?(?:mutation|variant"
        r"|rearrangement|fusion)s?(?: (?:is |was )?(?:detected|identified|found|seen))?|germline",
    ),
    (
        "not detected",
        r"not (?:detected|identified|found|seen|present|rearranged|deleted|co-?deleted|methylated)"
        r"|none detected|undetected|unmethylated|non-?codeleted|(?:mutation|rearrangement|fusion) (?:was "
        r"|is )?not (?:detected|identified|found)",
    ),
    (
        "mutated",
        r"mutated|mutant(?: pattern)?|mutation(?:-| )(?:type|pattern|positive|detected|identified|present"
        r"|found)|(?:pathogenic )?(?:mutation|variant|rearrangement|fusion|deletion|codeletion"
        r"|methylation)s?\s*(?:is |was )?(?:detected|identified|present|found|confirmed)|rearranged"
        r"|methylated|co-?deleted|null[\s-]type|overexpress(?:ed|ion)|aberrant|abnormal",
    ),
    (
        "retained",
        r"retained|retention|intact|preserved|proficient|conserved|unaltered|stable\b|MSS\b|no loss(?: of)?"
        r"|normal(?:ly)? (?:expression"
        r"|expressed)|normal\b|maintained|present \(retained\)",
    ),
    (
        "lost",
        r"lost|loss(?: of(?: nuclear)? (?:expression|staining))?|complete loss|deficient|absent nuclear|unstable"
        r"|MSI-?H(?:igh)?|abnormal loss",
    ),
    (
        "negative",
        r"negativ(?:e|ity)(?!\s+(?:for|with))|neg\b(?!\s+for)|non-?reactive|unreactive|not (?:expressed"
        r"|reactive|overexpressed|stained|staining|immunoreactive|present|seen|demonstrated|identified)"
        r"|absent|no (?:staining|expression|reactivity|immunoreactivity|overexpression)|nil|\(\s*[-−–]\s*\)"
        r"|[-−–](?=\s*(?:$|[,;/.)]|and\b|\w+\s*\+))|(?:was |were |is |are )?un(?:stained|expressed)"
        r"|does not (?:express|stain|react)|fails? to (?:stain"
        r"|express)|(?:do|does) not\b|none\b|silent\b|not(?=\s*(?:$|[.,;]))",
    ),
    (
        "positive",
        r"positiv(?:e|ity)(?!\s+(?:for|with))|pos\b(?!\s+for)|reactive(?!\s+(?:for|lymph|with))"
        r"|immunoreactive(?!\s+for)|immunopositive|found(?=\s*(?:$|[,;.)]))|\(\s*\++\s*\)"
        r"|\+(?:ve)?(?!\d)|(?:[1-3]\+)|highlight(?:s"
        r"|ed|ing)?|decorates?|marks?\b|labels?\b|present\b|seen\b|detected|identified|expressed"
        r"|strong\b(?=\s*(?:$|[,;.)]))|staining (?:is )?(?:seen|present)|stains? (?:the|many|most|all)\b"
        r"|confirms?|outlines?|demonstrat(?:es|ed|ing)",
    ),
    (
        "strength",
        r"(?:strong|weak|moderate|diffuse|patchy|focal|intense|nuclear|cytoplasmic|membran(?:e|ous)"
        r"|dot[- ]?like|high)"
        r"(?:(?:\s*(?:,|and|/)\s*|\s+)(?:strong|weak|moderate|diffuse|patchy|focal|nuclear|cytoplasmic|membranous"
        r"|staining|positivity|expression|uptake|labell?ing))*(?=\s*(?:$|[.;)]|,\s*\d))",
    ),
    ("score", r"(?:score\s*)?[0-3]\+?(?=\s*(?:$|[,;.()/]))(?!\s*/\s*\d)|\d{1,2}/8\b|allred\s*(?:score)?\s*\d"),
    (
        "percent",
        rf"{PERCENT}|(?:(?:tps|cps"
        r"|index)\s*)?(?:[<>≤≥]\s?)?\d{1,3}(?:\.\d+)?\b(?!\s*(?:mm|cm|/|\.\d|\+))",
    ),
)
AFTER = tuple((name, re.compile(rf"{_FILL}(?P<said>{pattern})", re.IGNORECASE)) for name, pattern in _RESULTS)
# Words between a result and the markers that follow it.
_LEAD = (
    r"(?:\s|,|:|\b(?:the|includ(?:e|es|ed|ing)|are|were|was|is|both|all|any|either|for|with|to|in|of|stains?"
    r"|markers?|immunostains?"
    r"|antibod(?:y|ies)|immunohistochemical|nuclear|strong(?:ly)?|weak(?:ly)?|diffuse(?:ly)?|focal(?:ly)?|patchy"
    r"|patchily"
    r"|expression|staining|reactivity|immunoreactivity|positivity|cytoplasmic|membranous|protein|proteins|and|also"
    r"|additionally"
    r"|partial(?:ly)?|variabl[ey]|uniform(?:ly)?|hormone|receptors?|\d{1,3}\s?%)\b)*\(?\s*$"
)
# These say it of the markers behind them, whatever follows; tried in this order.
STRONG_BEFORE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"(?:{pattern}){_LEAD}", re.IGNORECASE))
    for name, pattern in (
        (
            "retained",
            r"\b(?:no|without|not) (?:evidence of )?(?:any )?loss of|\b(?:retained|intact|preserved|maintained"
            r"|normal)\b"
            r"(?: (?:nuclear )?(?:expression|staining))?(?: (?:of|for))?(?=\s+(?:\w+\s)?$)|\bretains?\b"
            r"|\bretention of",
        ),
        (
            "lost",
            r"\b(?:loss|abnormal loss|lost (?:expression|staining)|absent (?:nuclear )?(?:expression"
            r"|staining)) (?:of|for)"
            r"|\bdeficient (?:for|in)|\blost\b|\b(?:isolated|combined|concurrent|dual) loss of",
        ),
        (
            "not detected",
            r"\b(?:no|without)\b(?: (?:pathogenic|evidence of|activating|detectable|known|oncogenic|targetable))*",
        ),
        (
            "negative",
            r"(?<!not )\bnegativ(?:e|ity)(?: (?:staining|reaction|results?|expression))? (?:for|with)|\bneg (?:for"
            r"|with)"
            r"|(?:do|does|did) not (?:express|stain|react|show|label|mark|demonstrate|co-?express|exhibit)"
            r"(?: (?:expression|staining|immunoreactivity|positivity|reactivity))?|n['’]t (?:express|stain)"
            r"|\black(?:s|ed|ing)?\b|\babsen(?:ce of|t)\b|\bnon-?reactive (?:for|with)"
            r"|\bnot (?:positive|express|stain|immunoreactive|reactive|immunopositive)\w*|\bfail(?:s"
            r"|ed)? to (?:express|stain|show|label|mark)"
            r"|unreactive (?:for|with)|\bdevoid of|\bneither\b|\bnever expressed?|\b(?:but|and|though|although"
            r"|yet) not(?: (?:for|with))?"
            r"|,\s*not (?:for|with)|\bwithout\b|\bnor (?:for|with)",
        ),
        ("equivocal", r"\bequivocal(?: for)?"),
        (
            "positive",
            r"\bpositiv(?:e|ity)(?: (?:staining|reaction|results?|expression))? (?:for|with)|\bpos (?:for|with)"
            r"|(?:immuno)?reactiv(?:e|ity) (?:for|with|to)|(?<!\bthe )(?<!\bof )\b(?:co-?|over-?|co)?express(?:es|ed"
            r"|ing)?(?! of)\b"
            r"|highlighted (?:by|with|on)|(?<=cells )(?:\w+ly )?stain(?:s|ed)? (?:\w+ly )?(?:for|with)|\bstain(?:s"
            r"|ed) (?:\w+ly )?(?:for|with)"
            r"|\bstain (?:positively|strongly|diffusely)? ?(?:for|with)|\b(?:positive|strong"
            r"|diffuse) (?:\w+ )?(?:expression|staining) (?:for|of|with)"
            r"|labell?(?:ed|s|ing)? (?:by|with|for)|\bmark(?:s|ed)? (?:for|with)|(?:decorated|outlined|confirmed"
            r"|supported) (?:by|with)"
            r"|\bpositivity\b|\bshow(?:s|ing|ed)? (?:\w+ ){0,2}(?:expression|positivity|staining) (?:of|for|with)",
        ),
    )
)
# These only where no result follows the markers.
WEAK_BEFORE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (name, re.compile(rf"(?:{pattern}){_LEAD}", re.IGNORECASE))
    for name, pattern in (
        ("pending", r"\bpending\b|\bordered\b|(?:stains?|studies|immunostains|immunohistochemistry|IHC) for"),
        ("retained", r"\b(?:retained|intact|preserved|normal)\b(?: (?:nuclear )?(?:expression|staining))?"),
        ("lost", r"\bdeficient\b"),
        (
            "negative",
            r"(?<!-)\bno(?:n-?reactive)?\b|(?:^|[;:.(])\s*neg(?:ative)?\b|\bneg(?:ative)?\b(?=\s*:|\s+(?:stains?"
            r"|markers?|antibod\w+|immunostains?)\b)",
        ),
        (
            "positive",
            r"express(?:ion|ing) of|(?:^|[;:.(]|\bshow(?:s|ed|ing)?\b|\bwith\b|\bis\b"
            r"|\bare\b)\s*(?:\w+ly )?pos(?:itive)?\b|\bpositive\b(?=\s*:|\s+(?:stains?|markers?|antibod\w+"
            r"|immunostains?)\b)|\b(?:weak|patchy|strong|diffuse|focal)\b",
        ),
    )
)
FURTHER = tuple(
    (name, re.compile(rf"^[^;]{{0,80}}?\b(?P<said>{pattern})", re.IGNORECASE))
    for name, pattern in _RESULTS
    if name not in ("score", "percent", "pending")
)


@dataclass(frozen=True)
class Result:
    """A result, the characters of the clause that say it, and what stands around them."""

    name: str
    said: str
    end: int
    around: str
