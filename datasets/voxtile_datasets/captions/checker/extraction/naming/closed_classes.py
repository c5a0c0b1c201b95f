"""Words that name no thing of a picture: the closed classes of English, and words of talking, seeing and measuring."""

from __future__ import annotations

from voxtile.words.tokens import normal_form

_CLOSED = """
a an the this that these those such some any every each either neither both all half no none another other others same
own such what which whose whichever whatever many much more most few fewer fewest little less least several enough
i me my mine myself you your yours he him his she her hers it its itself we us our ours they them their theirs
themselves one ones oneself someone somebody something anyone anybody anything everyone everybody everything nobody
nothing who whom whoever
am is are was were be been being have has had having do does did doing done will would shall should can could may might
must ought need dare let get gets got getting make makes made making go goes went gone going come comes came coming
and or nor but so yet for because since as if unless until while whereas although though than whether when whenever
where wherever why how once after before lest
about above across after against along alongside amid amidst among around at atop before behind below beneath beside
besides between beyond by despite down during except from in inside into like near next of off on onto opposite out
outside over past per plus round since through throughout till to toward towards under underneath unlike until up upon
via versus with within without
not never ever always often usually sometimes seldom rarely hardly barely scarcely only just also too very quite rather
fairly pretty almost nearly about approximately roughly exactly precisely merely simply really truly actually indeed
perhaps maybe possibly probably likely surely certainly clearly evidently apparently obviously again still already now
then here there today yesterday soon later earlier first second third last finally further furthermore moreover however
therefore thus hence otherwise else instead meanwhile together alone apart away back forward forwards sideways upwards
downwards inward outward well altogether completely entirely wholly fully totally partly partially mostly mainly largely
chiefly especially particularly generally overall respectively namely
yes okay ok please thanks hello hi oh ah wow look see saw seen seeing view viewed views show shows showed shown showing
display displays displayed depict depicts depicted picture pictures pictured image images photo photograph figure fig
reveal reveals revealed find finds found note notes noted observe observed appear appears appeared seem seems seemed
visible apparent evident present absent exist exists existing lie lies lay lying sit sits sat sitting stand stands stood
standing contain contains contained containing include includes included including hold holds held holding carry
carries carried carrying bear bears consist consists comprise comprises measure measures measured measuring size sized
width length height depth thickness diameter area extent extend extends extended extending reach reaches span spans
number numbers count counted total amount quantity share percent percentage part parts portion portions piece side sides
edge end ends top bottom middle centre center corner half third quarter left right upper lower
say says said tell tells told call calls called know known think believe guess imagine describe describes described
patient man woman male female old year years aged age boy girl person gentleman lady
kind kinds sort sorts type types form forms way ways thing things lot lots bit good bad big small large little great
tiny huge long short wide broad narrow high low new old young
"""
COMMON = frozenset(normal_form(word) for word in _CLOSED.split())
SHORTEST = 3  # letters of a word that names something


def is_content(word: str) -> bool:
    """Whether a word in normal form is of no closed class, so that it names or describes something.

    Args:
        word: of a sentence.
    """
    return len(word) >= SHORTEST and word.isalpha() and word not in COMMON
