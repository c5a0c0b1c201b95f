"""Forms of English verbs: from `creep` to creeps, crept, creeping."""

from __future__ import annotations

# Base form, past and participle of verbs that do not take -ed (Quirk et al., A Comprehensive Grammar, 3.11-3.20).
_IRREGULAR = """
arise arose arisen|bear bore borne|beat beat beaten|become became become|begin began begun|bend bent|bet bet
bind bound|bite bit bitten|bleed bled|blow blew blown|break broke broken|breed bred|bring brought|build built
burst burst|buy bought|catch caught|choose chose chosen|cling clung|come came come|cost cost|creep crept
cut cut|deal dealt|dig dug|do did done|draw drew drawn|drink drank drunk|drive drove driven|eat ate eaten
fall fell fallen|feed fed|feel felt|fight fought|find found|flee fled|fling flung|fly flew flown
forget forgot forgotten|freeze froze frozen|get got gotten|give gave given|go went gone|grind ground
grow grew grown|hang hung|have had|hear heard|hide hid hidden|hit hit|hold held|hurt hurt|keep kept
kneel knelt|know knew known|lay laid|lead led|leap leapt|leave left|lend lent|let let|lie lay lain|light lit
lose lost|make made|mean meant|meet met|mow mowed mown|overgrow overgrew overgrown|pay paid|put put|quit quit
read read|regrow regrew regrown|ride rode ridden|ring rang rung|rise rose risen|run ran run|say said
see saw seen|seek sought|sell sold|send sent|set set|sew sewed sewn|shake shook shaken|shed shed|shine shone
shoot shot|show showed shown|shrink shrank shrunk|shut shut|sing sang sung|sink sank sunk|sit sat|sleep slept
slide slid|smell smelt|sow sowed sown|speak spoke spoken|spend spent|spill spilt|spin spun|split split
spread spread|spring sprang sprung|stand stood|steal stole stolen|stick stuck|sting stung|strew strewed strewn
strike struck|swear swore sworn|sweep swept|swell swelled swollen|swim swam swum|swing swung|take took taken
teach taught|tear tore torn|tell told|think thought|throw threw thrown|undergo underwent undergone
wake woke woken|wear wore worn|weave wove woven|weep wept|win won|wind wound|withdraw withdrew withdrawn
write wrote written
"""
_FORMS = {words[0]: tuple(words) for part in _IRREGULAR.replace("\n", "|").split("|") if (words := part.split())}
_VOWELS = "aeiou"
_UNSTRESSED = ("en", "er", "or", "on", "it", "et", "op", "al")  # "harbour", "visit": the last letter stays single

PARTICIPLES = frozenset(words[-1] for words in _FORMS.values())
PASTS = frozenset(words[1] for words in _FORMS.values())


def forms_of(verb: str) -> tuple[str, ...]:
    """The base, the past, the participle and the -ing form; words after the first stay ("dry up" → "dried up")."""
    base, *rest = verb.split()
    past = _FORMS[base][1:] if base in _FORMS else (_past(base),)
    return tuple(" ".join((form, *rest)) for form in dict.fromkeys((base, *past, _ing(base))))


def _past(base: str) -> str:
    if base.endswith("e"):
        return f"{base}d"
    if base.endswith("y") and base[-2] not in _VOWELS:
        return f"{base[:-1]}ied"
    return f"{_doubled(base)}ed"


def _ing(base: str) -> str:
    if base.endswith("ie"):
        return f"{base[:-2]}ying"
    if base.endswith("e") and not base.endswith(("ee", "oe", "ye")):
        return f"{base[:-1]}ing"
    return f"{_doubled(base)}ing"


def _doubled(base: str) -> str:
    """The base with its last letter twice where the last syllable is short and stressed: plan, planned."""
    is_short = len(base) > 2 and base[-1] not in f"{_VOWELS}wxy" and base[-2] in _VOWELS and base[-3] not in _VOWELS
    vowels = sum(letter in _VOWELS for letter in base)
    return base + base[-1] if is_short and (vowels == 1 or not base.endswith(_UNSTRESSED)) and vowels < 3 else base
