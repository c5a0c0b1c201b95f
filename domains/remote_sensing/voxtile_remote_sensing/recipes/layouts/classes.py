"""Class names of the scene-classification datasets: the official folder or label → the concept that facts name.

Sources: EuroSAT (Helber et al. 2019), NWPU-RESISC45 (Cheng et al. 2017), AID (Xia et al. 2017), PatternNet (Zhou et al.
2018), RSSCN7 (Zou et al. 2015), fMoW (Christie et al. 2018), MillionAID (Long et al. 2021), RSI-CB256 (Li et al. 2020),
BigEarthNet (Sumbul et al. 2021). Concepts are the official names as words; a name
that does not stand by itself says of what ("center" is "large central building"). The tables are plain dictionaries,
since a layout that holds one is pickled to the workers.
"""

from __future__ import annotations

from collections.abc import Mapping

from voxtile.errors import InputError
from voxtile_datasets.recipes.download import nearest_name, official_name


def _same(names: str, **renamed: str) -> Mapping[str, str]:
    """Names separated by blanks: each is its own concept with spaces for underscores, unless it is renamed."""
    return {name: renamed.get(name, name.replace("_", " ")) for name in names.split()}


EUROSAT: Mapping[str, str] = {
    "AnnualCrop": "annual crop", "Forest": "forest", "HerbaceousVegetation": "herbaceous vegetation",
    "Highway": "highway", "Industrial": "industrial buildings", "Pasture": "pasture",
    "PermanentCrop": "permanent crop", "Residential": "residential buildings", "River": "river",
    "SeaLake": "sea or lake",
}  # fmt: skip
# SkyScript's benchmark writes EuroSAT's classes in words.
EUROSAT_WORDS: Mapping[str, str] = {
    **EUROSAT, "annual crop land": "annual crop", "brushland or shrubland": "herbaceous vegetation",
    "highway or road": "highway", "industrial buildings or commercial buildings": "industrial buildings",
    "pasture land": "pasture", "permanent crop land": "permanent crop",
    "residential buildings or homes or apartments": "residential buildings", "lake or sea": "sea or lake",
}  # fmt: skip

RESISC45 = _same(
    "airplane airport baseball_diamond basketball_court beach bridge chaparral church circular_farmland cloud "
    "commercial_area dense_residential desert forest freeway golf_course ground_track_field harbor industrial_area "
    "intersection island lake meadow medium_residential mobile_home_park mountain overpass palace parking_lot railway "
    "railway_station rectangular_farmland river roundabout runway sea_ice ship snowberg sparse_residential stadium "
    "storage_tank tennis_court terrace thermal_power_station wetland",
    dense_residential="dense residential area", medium_residential="medium residential area",
    sparse_residential="sparse residential area", terrace="terraced fields",
)  # fmt: skip

AID: Mapping[str, str] = {
    "Airport": "airport", "BareLand": "bare land", "BaseballField": "baseball field", "Beach": "beach",
    "Bridge": "bridge", "Center": "large central building", "Church": "church", "Commercial": "commercial area",
    "DenseResidential": "dense residential area", "Desert": "desert", "Farmland": "farmland", "Forest": "forest",
    "Industrial": "industrial area", "Meadow": "meadow", "MediumResidential": "medium residential area",
    "Mountain": "mountain", "Park": "park", "Parking": "parking lot", "Playground": "playground", "Pond": "pond",
    "Port": "port", "RailwayStation": "railway station", "Resort": "resort", "River": "river", "School": "school",
    "SparseResidential": "sparse residential area", "Square": "square", "Stadium": "stadium",
    "StorageTanks": "storage tanks", "Viaduct": "viaduct",
}  # fmt: skip
# RSITMD adds boats, planes and intersections to AID's classes.
RSITMD: Mapping[str, str] = {**AID, "boat": "boat", "plane": "airplane", "intersection": "intersection"}

PATTERNNET = _same(
    "airplane baseball_field basketball_court beach bridge cemetery chaparral christmas_tree_farm closed_road "
    "coastal_mansion crosswalk dense_residential ferry_terminal football_field forest freeway golf_course harbor "
    "intersection mobile_home_park nursing_home oil_gas_field oil_well overpass parking_lot parking_space railway "
    "river runway runway_marking shipping_yard solar_panel sparse_residential storage_tank swimming_pool tennis_court "
    "transformer_station wastewater_treatment_plant",
    christmas_tree_farm="Christmas tree farm", dense_residential="dense residential area",
    oil_gas_field="oil or gas field", sparse_residential="sparse residential area",
)  # fmt: skip

RSSCN7: Mapping[str, str] = {
    "aGrass": "grassland", "bField": "farmland", "cIndustry": "industrial area", "dRiverLake": "river or lake",
    "eForest": "forest", "fResident": "residential area", "gParking": "parking lot",
}  # fmt: skip

FMOW: Mapping[str, str] = {
    **_same(
        "airport airport_hangar airport_terminal amusement_park aquaculture archaeological_site barn "
        "border_checkpoint burial_site car_dealership construction_site crop_field dam debris_or_rubble "
        "educational_institution electric_substation factory_or_powerplant fire_station flooded_road fountain "
        "gas_station golf_course ground_transportation_station helipad hospital impoverished_settlement "
        "interchange lake_or_pond lighthouse military_facility nuclear_powerplant office_building "
        "oil_or_gas_facility park parking_lot_or_garage place_of_worship police_station port prison race_track "
        "railway_bridge recreational_facility road_bridge runway shipyard shopping_mall smokestack solar_farm "
        "space_facility stadium storage_tank surface_mine swimming_pool toll_booth tower tunnel_opening "
        "waste_disposal water_treatment_facility wind_farm zoo",
        waste_disposal="waste disposal site",
    ),
    "multi-unit_residential": "multi-unit residential building",
    "single-unit_residential": "single-unit residential building",
}  # fmt: skip

MILLIONAID: Mapping[str, str] = {
    **_same(
        "apartment apron bare_land baseball_field basketball_court beach bridge cemetery church commercial_area "
        "dam desert detached_house dry_field forest golf_course greenhouse ground_track_field helipad ice_land "
        "intersection island lake meadow mine mobile_home_park oil_field orchard paddy_field parking_lot pier "
        "quarry railway river road rock_land roundabout runway solar_power_plant sparse_shrub_land stadium "
        "storage_tank substation swimming_pool tennis_court terraced_field train_station viaduct "
        "wastewater_plant wind_turbine works",
        apartment="apartment buildings", apron="airport apron", ice_land="ice", rock_land="bare rock",
        works="factory works",
    ),
    "bapsketball_court": "basketball court",  # spelt so in the release
}  # fmt: skip

RSICB256 = _same(
    "airplane airport_runway artificial_grassland avenue bare_land bridge city_building coastline container crossroads "
    "dam desert dry_farm forest green_farmland highway hirst lakeshore mangrove marina mountain parkinglot pipeline "
    "residents river river_protection_forest sandbeach sapling sea shrubwood snow_mountain sparse_forest storage_room "
    "stream town",
    city_building="city buildings", container="shipping containers", dry_farm="dry farmland", hirst="sandbank",
    parkinglot="parking lot", residents="residential area", river_protection_forest="riverside forest",
    sandbeach="sand beach", sapling="saplings", shrubwood="shrubs", snow_mountain="snowy mountain",
    storage_room="storage tanks",
)  # fmt: skip

BIGEARTHNET: Mapping[str, str] = {
    "Urban fabric": "urban fabric", "Industrial or commercial units": "industrial or commercial units",
    "Arable land": "arable land", "Permanent crops": "permanent crops", "Pastures": "pastures",
    "Complex cultivation patterns": "complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation":
        "agricultural land with natural vegetation",
    "Agro-forestry areas": "agro-forestry areas", "Broad-leaved forest": "broad-leaved forest",
    "Coniferous forest": "coniferous forest", "Mixed forest": "mixed forest",
    "Natural grassland and sparsely vegetated areas": "natural grassland and sparsely vegetated areas",
    "Moors, heathland and sclerophyllous vegetation": "moors, heathland and sclerophyllous vegetation",
    "Transitional woodland, shrub": "transitional woodland and shrub",
    "Beaches, dunes, sands": "beaches, dunes and sands", "Inland wetlands": "inland wetlands",
    "Coastal wetlands": "coastal wetlands", "Inland waters": "inland waters", "Marine waters": "marine waters",
}  # fmt: skip


def concepts(classes: Mapping[str, str]) -> tuple[str, ...]:
    """The concepts of a table, each once, in its order."""
    return tuple(dict.fromkeys(classes.values()))


def concept_of(classes: Mapping[str, str], name: str, where: str) -> str:
    """The concept of a class by its name in any spelling.

    Args:
        classes: name → concept.
        name: as the files have it.
        where: file or folder, for the message.

    Raises:
        InputError: there is no such class; the sentence names the nearest.
    """
    official = official_name(name, classes)
    if official is None:
        nearest = nearest_name(name, classes)
        hint = f"did you mean '{nearest}'?" if nearest else f"the classes are {', '.join(classes)}"
        raise InputError(f"{where} has the class '{name}', which is none of the dataset's; {hint}")
    return classes[official]
