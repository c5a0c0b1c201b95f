"""The checker of captions on scenes seen from above: sentences written for this test, by what they claim."""

import pytest
import shapely
from caption_sentences import fact

from voxtile_datasets.captions.checker.check import Known, check
from voxtile_datasets.captions.checker.judging.metadata import metadata_of
from voxtile_datasets.captions.checker.vocabulary import installed_vocabularies

VOCABULARY = installed_vocabularies()["remote_sensing"]


def judge(text, facts, concepts=None):
    scopes = [] if concepts is None else [{"vocabulary": "v", "closed": True, "concepts": list(concepts)}]
    return check(text, Known(facts, scopes), VOCABULARY)


FIELDS = [
    fact("wheat", value=0.6, unit="1"),
    fact("meadow", value=0.25, unit="1"),
    fact("water", value=0.15, unit="1"),
]
SHARES = [
    # the share stands before or after its name, and another follows at once
    ("Wheat 60 %, meadow 25 %, water 15 %.", "supported"),
    ("Wheat 25 %, meadow 60 %, water 15 %.", "contradicted"),
    ("Three fifths are wheat, one quarter meadow.", "supported"),
    ("One quarter wheat, three fifths meadow.", "contradicted"),
    ("Wheat accounts for 60 percent of the tile and meadow for a quarter.", "supported"),
    ("Wheat accounts for 60 percent of the tile and meadow for a tenth.", "contradicted"),
    ("A little over half of the picture is wheat.", "supported"),
    ("Just under a tenth of the picture is wheat.", "contradicted"),
    ("Mostly wheat, with some meadow.", "supported"),
    ("A scene dominated by water.", "contradicted"),
    ("Water has the lion's share of the scene.", "contradicted"),
    ("Hardly any wheat.", "contradicted"),
    ("In the northern half of the tile there is water.", "unknown"),
]


@pytest.mark.parametrize(("text", "wanted"), SHARES)
def test_shares_belong_to_the_name_of_their_own_part_of_the_sentence(text, wanted):
    verdict = judge(text, FIELDS, ["wheat", "meadow", "water"])
    assert verdict.verdict == wanted, verdict.faults


LAKESIDE = [
    fact("lake"),
    fact("forest"),
    fact("house", value=12.0, unit="count"),
    fact("cloud", value=0.1, unit="1"),
    fact("car", "absent"),
]
LAKESIDE_SCOPE = ["lake", "forest", "house", "cloud", "car", "church", "pier", "snow"]
DENIALS = [
    ("A forestless shore.", "contradicted"),
    ("An unforested shore by the lake.", "contradicted"),
    ("A cloud-free view of the lake.", "contradicted"),
    ("A snow-free view of the lake.", "supported"),
    ("Nary a house stands by the lake.", "contradicted"),
    ("Nary a church stands by the lake.", "supported"),
    ("Not a single house by the lake.", "contradicted"),
    ("Zero cars and twelve houses.", "supported"),
    ("Zero houses.", "contradicted"),
    ("0 houses, one lake.", "contradicted"),
    ("Houses do not occur here.", "contradicted"),
    ("Churches do not occur here.", "supported"),
    ("Houses are not to be found.", "contradicted"),
    ("A lake bereft of forest.", "contradicted"),
    ("Nobody has built a church or a pier at this lake.", "supported"),
    ("No church and no pier belong to this view of a lake.", "supported"),
    ("Hardly any cars.", "supported"),
    ("Hardly any clouds over the forest.", "supported"),
    ("Hardly any houses.", "unsupported"),
]


@pytest.mark.parametrize(("text", "wanted"), DENIALS)
def test_denials_in_their_many_forms(text, wanted):
    verdict = judge(text, LAKESIDE, LAKESIDE_SCOPE)
    assert verdict.verdict == wanted, verdict.faults


def test_kinds_of_forest_make_forest_together():
    facts = [fact("conifer_forest", value=0.3, unit="1"), fact("broadleaf_forest", value=0.4, unit="1")]
    scope = ["forest", "conifer_forest", "broadleaf_forest"]
    assert judge("Forest covers 70 % of the tile.", facts, scope).verdict == "supported"
    assert judge("Forest covers 50 % of the tile.", facts, scope).verdict == "contradicted"
    assert judge("Buildings on 20 %.", [fact("built_up", value=0.2, unit="1")], ["built_up"]).verdict == "supported"
    assert judge("Buildings on 60 %.", [fact("built_up", value=0.2, unit="1")], ["built_up"]).verdict == "contradicted"


TOWN = [
    fact("stadium"),
    fact("railway"),
    fact("parking_lot", relation="west_of", other="stadium"),
    fact("bridge", relation="crossing", other="railway"),
    fact("car", relation="in", other="parking_lot"),
    fact("footpath", relation="beside", other="railway"),
]
RELATIONS = [
    # either order, possessives, pronouns, the sentence before
    ("A car park on the stadium's western side.", "supported"),
    ("A car park on the stadium's eastern side.", "contradicted"),
    ("The stadium has a car park to its west.", "supported"),
    ("The car park has a stadium to its west.", "contradicted"),
    ("There is a stadium. To its west lies a car park.", "supported"),
    ("There is a stadium. To its south lies a car park.", "contradicted"),
    ("A stadium fills the tile, and a car park spreads to the west of it.", "supported"),
    ("A stadium fills the tile, and a car park spreads to the north of it.", "contradicted"),
    ("A stadium; to the right of it a car park.", "contradicted"),
    ("A car park with a stadium to the east.", "supported"),
    ("A car park with a stadium to the west.", "contradicted"),
    # inside, beside, across, and what none of them can be
    ("The railway is spanned by a bridge.", "supported"),
    ("A railway passes under a bridge.", "supported"),
    ("The bridge runs parallel to the railway.", "contradicted"),
    ("A footpath follows the railway.", "supported"),
    ("A footpath crosses the railway.", "contradicted"),
    ("Inside the parking lot stand cars.", "supported"),
    ("Next to the parking lot stand cars.", "contradicted"),
    ("Cars on the far side of the road from the parking lot.", "contradicted"),
    ("The railway has a footpath far away from the railway.", "contradicted"),
]


@pytest.mark.parametrize(("text", "wanted"), RELATIONS)
def test_relations_in_either_order(text, wanted):
    verdict = judge(text, TOWN)
    assert verdict.verdict == wanted, verdict.faults


TILE = [fact("maize", value=0.7, unit="1"), fact("river", value=0.1, unit="1"), fact("silo", value=2.0, unit="count")]
SENTINEL = {"modality": "MSI", "sensor": "Sentinel-2", "gsd_m": 10.0, "datetime": "2020-07-04T10:30:00"}
RADAR = {"modality": "SAR", "sensor": "TerraSAR-X", "gsd_m": 1.0, "channels": ["HH"], "season": "winter"}
DRONE = {"modality": "RGB", "gsd_m": 0.05}
OF_THE_PICTURE = [
    (SENTINEL, "A Sentinel-2 tile of maize.", "supported"),
    (SENTINEL, "A multispectral satellite image of maize.", "supported"),
    (SENTINEL, "A radar image of maize.", "contradicted"),
    (SENTINEL, "Maize in an aerial photograph.", "contradicted"),
    (SENTINEL, "A thermal image of maize.", "contradicted"),
    (SENTINEL, "Maize on a Landsat 8 tile.", "contradicted"),
    (SENTINEL, "Maize at 10 m per pixel.", "supported"),
    (SENTINEL, "Maize in a 10 m satellite image.", "supported"),
    (SENTINEL, "Maize in a 30 cm satellite image.", "contradicted"),
    (SENTINEL, "A sub-metre image of maize.", "contradicted"),
    (SENTINEL, "Maize in July.", "supported"),
    (SENTINEL, "Maize on the 4th of July, 2020.", "supported"),
    (SENTINEL, "Maize on the 5th of July, 2020.", "unsupported"),
    (SENTINEL, "Maize in this 2019 tile.", "unsupported"),
    (SENTINEL, "Maize in the 1990s.", "unsupported"),
    (SENTINEL, "Maize in high summer.", "supported"),
    (SENTINEL, "Maize among trees that have lost their leaves.", "contradicted"),
    (SENTINEL, "Over half of this summer scene is maize.", "supported"),
    (SENTINEL, "Maize fields on a Sunday morning.", "unsupported"),
    (RADAR, "An X-band SAR image at one metre, maize and a river.", "supported"),
    (RADAR, "A C-band SAR image, maize and a river.", "contradicted"),
    (RADAR, "A colour photograph of maize.", "contradicted"),
    (RADAR, "Maize in midsummer, seen by radar.", "contradicted"),
    (DRONE, "A drone photo of a maize field.", "supported"),
    (DRONE, "An infrared photo of a maize field.", "contradicted"),
    (DRONE, "A maize field in autumn.", "unsupported"),
    # what no picture shows
    (DRONE, "Maize that was flattened by a hurricane.", "unsupported"),
    (DRONE, "Owing to drought there is little water in the river.", "unsupported"),
    (DRONE, "The maize must be watered.", "unsupported"),
    (DRONE, "The maize will ripen soon.", "unsupported"),
    (DRONE, "Farmers rest beside the maize.", "unknown"),
    (DRONE, "Herons nest along the river.", "unsupported"),
    (DRONE, "A noisy river in a maize field.", "unknown"),
    (DRONE, "Two silos filled with grain.", "unsupported"),
    (DRONE, "Two famous silos.", "unknown"),
    (DRONE, "The river has been widened since last year.", "unsupported"),
    (DRONE, "Silos dating from the Soviet era.", "unsupported"),
    (DRONE, "Two silos, a river and maize, without any tourists.", "supported"),
]


@pytest.mark.parametrize(("row", "text", "wanted"), OF_THE_PICTURE)
def test_what_is_said_of_the_picture_is_compared_with_its_row(row, text, wanted):
    verdict = check(text, Known(TILE, [], metadata=row), VOCABULARY)
    assert verdict.verdict == wanted, verdict.faults


VILLAGE = [
    fact("house", value=9.0, unit="count"),
    fact("church", value=1.0, unit="count", colour="white", location="tower"),
    fact("bridge", value=1.0, unit="count", colour="green", location="two arches"),
    fact("pond", shape="round"),
    fact("tree"),
    fact("road"),
    fact("storage_tank", value=2.0, unit="count", colour="white"),
    fact("storage_tank", value=5.0, unit="count", colour="gray"),
    fact("cloud", value=0.1, unit="1"),
]
VILLAGE_SCOPE = ["house", "church", "bridge", "pond", "tree", "road", "storage_tank", "cloud", "snow"]
DETAILS = [
    # parts are there; their colour, material and number must be known
    ("Nine houses with their roofs and windows.", "supported"),
    ("Nine houses with red roofs.", "unsupported"),
    ("Nine houses with thatched roofs.", "supported"),
    ("A bridge with two green arches.", "supported"),
    ("A bridge with four green arches.", "contradicted"),
    ("A bridge with two red arches.", "contradicted"),
    ("A road with yellow lane markings.", "unsupported"),
    # colours that others of the same kind have; what has a colour by nature
    ("Two white tanks and five grey ones.", "supported"),
    ("Two grey tanks and five white ones.", "contradicted"),
    ("Green trees.", "supported"),
    ("Purple trees.", "unsupported"),
    ("Nine pink houses.", "unsupported"),
    # forms
    ("A circular pond.", "supported"),
    ("A rectangular pond.", "contradicted"),
    ("A lone church.", "supported"),
    ("Houses, nine in number.", "supported"),
    ("Houses, five in number.", "contradicted"),
    # a more special kind than is known, and what stands in for something else
    ("Palm trees among nine houses.", "unsupported"),
    ("Houses and a church beside a railway.", "unsupported"),
    # the sky
    ("A village under an overcast sky.", "contradicted"),
    ("A church under a partly cloudy sky.", "supported"),
    ("Houses under a cloudless sky.", "contradicted"),
    # places that nothing gives
    ("Nine houses on the old Rhine.", "unsupported"),
    ("Houses and a church, Bavaria.", "unsupported"),
]


@pytest.mark.parametrize(("text", "wanted"), DETAILS)
def test_parts_colours_forms_and_what_stands_in_for_something_else(text, wanted):
    verdict = judge(text, VILLAGE, VILLAGE_SCOPE)
    assert verdict.verdict == wanted, verdict.faults


def test_shares_of_others_leave_no_room():
    facts = [fact("rice", value=0.6, unit="1"), fact("water", value=0.3, unit="1")]
    assert judge("Half of the tile is tea plantation.", facts).verdict == "contradicted"
    assert judge("A quarter of the tile is rice.", facts).verdict == "contradicted"
    assert (
        judge("Ice extends over a fifth of the tile.", [fact("sea_ice", value=0.6, unit="1")]).verdict == "contradicted"
    )


COUNTED = [fact("apron"), fact("airplane", value=34.0, unit="count"), fact("airplane", relation="in", other="apron")]
WORDED = [
    ("Thirty-odd planes on an apron.", "supported"),
    ("Fifty-odd planes on an apron.", "contradicted"),
    ("More than a dozen planes.", "supported"),
    ("More than four dozen planes.", "contradicted"),
    ("More than a hundred planes.", "contradicted"),
    ("Just over thirty planes.", "supported"),
    ("The planes stand beside the apron.", "contradicted"),
    ("Planes in the north of Norwegian territory.", "unsupported"),
    ("The Innsbruck apron with many planes.", "unsupported"),
    ("Not one helipad near this apron.", "unknown"),
]


@pytest.mark.parametrize(("text", "wanted"), WORDED)
def test_counts_in_words_and_names_of_places(text, wanted):
    verdict = judge(text, COUNTED)
    assert verdict.verdict == wanted, verdict.faults


RANKS = [
    ("Wheat is the largest class.", "supported"),
    ("Water is the largest class.", "contradicted"),
    ("Water is the smallest class.", "supported"),
    ("More wheat than meadow.", "supported"),
    ("More meadow than wheat.", "contradicted"),
    ("Meadow covers less of the tile than wheat does.", "supported"),
    ("Water covers more of the tile than wheat does.", "contradicted"),
    ("Wheat outweighs meadow.", "supported"),
    ("Meadow outweighs wheat.", "contradicted"),
    ("As much meadow as wheat.", "contradicted"),
]


@pytest.mark.parametrize(("text", "wanted"), RANKS)
def test_which_has_more(text, wanted):
    verdict = judge(text, FIELDS, ["wheat", "meadow", "water"])
    assert verdict.verdict == wanted, verdict.faults


UNSEEN = [
    "The ponds hold pike and are fished every weekend.",
    "The announcements can be heard in the whole station.",
    "The soil is rich in clay.",
    "The harbour is deep enough for cruise liners.",
    "The bridge is in poor condition.",
    "Hikers rest beside the river.",
    "The houses are heated with wood.",
    "The houses are made of brick.",
    "The bridge collapsed.",
    "The water is too cold for bathing.",
    "The cars belong to commuters who work nearby.",
    "The town council wants to widen the road.",
    "Groundwater seeps in beneath the surface.",
    "A metro line runs below the square.",
    "The trees are prone to beetles.",
    "Beavers have dammed the river.",
]
SEEN = [
    "A river with a bridge, houses along both banks and a row of green trees.",
    "Cars are parked beside the houses, close to the bridge.",
    "The bridge leads over the river to the houses.",
    "Trees stand between the houses and the river, without any gap.",
]


@pytest.mark.parametrize("text", UNSEEN)
def test_what_cannot_be_seen_from_above_is_never_supported(text):
    verdict = judge(text, [fact("river"), fact("bridge"), fact("house"), fact("car")]).verdict
    assert verdict in ("unsupported", "unknown")  # no fact says that nobody rests there


@pytest.mark.parametrize("text", SEEN)
def test_what_can_be_seen_from_above_is_not(text):
    facts = [fact("river"), fact("bridge"), fact("house"), fact("car"), fact("tree")]
    assert judge(text, facts).verdict in ("supported", "unknown")


@pytest.mark.parametrize(
    ("latitude", "month", "season", "wanted"),
    [
        (-33.9, "01", "summer", "supported"),
        (-33.9, "01", "winter", "contradicted"),
        (-33.9, "07", "winter", "supported"),
        (-33.9, "03", "summer", "supported"),  # the 15th, before the equinox
        (48.2, "01", "winter", "supported"),
        (48.2, "01", "summer", "contradicted"),
        (-3.1, "01", "summer", "unsupported"),  # no four seasons on the Amazon
    ],
)
def test_the_season_of_a_month_is_that_of_the_hemisphere(latitude, month, season, wanted):
    footprint = shapely.box(151.0, latitude - 0.01, 151.02, latitude + 0.01).wkb
    row = metadata_of({"modality": "MSI", "datetime": f"2023-{month}-15T00:10:00Z", "geometry": footprint})
    known = Known([fact("forest", value=0.7, unit="1")], [], metadata=row)
    assert check(f"A forest in {season}.", known, VOCABULARY).verdict == wanted


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("A road crosses a river.", "supported"),
        ("The houses are brick red.", "contradicted"),
        ("White houses by the road.", "supported"),
        ("Houses ring a river.", "supported"),
        ("The roads meet.", "unknown"),
        ("Three helicopters stand by the road.", "contradicted"),
    ],
)
def test_what_a_road_does_is_no_crossroads_and_brick_red_a_colour(text, verdict):
    facts = [
        fact("road"), fact("river"), fact("house", colour="white"),
        fact("road", kind="relation", relation="crossing", other="river"), fact("helicopter", "absent"),
    ]  # fmt: skip
    assert judge(text, facts).verdict == verdict
