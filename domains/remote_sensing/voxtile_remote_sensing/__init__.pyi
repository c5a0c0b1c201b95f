from .footprints.command import facts_from_places as facts_from_places
from .landcover.command import facts_from_landcover as facts_from_landcover
from .metadata.command import facts_from_metadata as facts_from_metadata
from .osm.command import facts_from_osm as facts_from_osm
from .phantom.aerial import write_aerial_phantom as write_aerial_phantom
from .phantom.sar import write_sar_phantom as write_sar_phantom
from .phantom.sentinel2 import write_sentinel2_phantom as write_sentinel2_phantom
from .recipes.bigearthnet import build_bigearthnet as build_bigearthnet
from .recipes.captioned_pictures import build_nwpu_captions as build_nwpu_captions
from .recipes.captioned_pictures import build_rsicd as build_rsicd
from .recipes.captioned_pictures import build_rsitmd as build_rsitmd
from .recipes.captioned_pictures import build_sydney_captions as build_sydney_captions
from .recipes.captioned_pictures import build_ucm_captions as build_ucm_captions
from .recipes.chatearthnet import build_chatearthnet as build_chatearthnet
from .recipes.eurosat import build_eurosat as build_eurosat
from .recipes.eurosat import build_eurosat_ms as build_eurosat_ms
from .recipes.expressions import build_air_slt as build_air_slt
from .recipes.expressions import build_dior_rsvg as build_dior_rsvg
from .recipes.expressions import build_rsvg as build_rsvg
from .recipes.expressions import build_vrsbench as build_vrsbench
from .recipes.fmow import build_fmow as build_fmow
from .recipes.picture_tars import build_gaia as build_gaia
from .recipes.picture_tars import build_rs5m as build_rs5m
from .recipes.questions import build_geochat as build_geochat
from .recipes.questions import build_rsvqa as build_rsvqa
from .recipes.scene_classes import build_aid as build_aid
from .recipes.scene_classes import build_patternnet as build_patternnet
from .recipes.scene_classes import build_resisc45 as build_resisc45
from .recipes.scene_classes import build_rsscn7 as build_rsscn7
from .recipes.skyscript import build_skyscript as build_skyscript
from .recipes.skyscript_benchmark import build_skyscript_benchmark as build_skyscript_benchmark
from .recipes.spacenet import build_spacenet as build_spacenet
from .recipes.ssl4eo import build_ssl4eo as build_ssl4eo
from .recipes.torchgeo_set import build_torchgeo as build_torchgeo
from .tiles.convert import convert_geotiff as convert_geotiff

__all__ = [
    "build_aid",
    "build_air_slt",
    "build_bigearthnet",
    "build_chatearthnet",
    "build_dior_rsvg",
    "build_eurosat",
    "build_eurosat_ms",
    "build_fmow",
    "build_gaia",
    "build_geochat",
    "build_nwpu_captions",
    "build_patternnet",
    "build_resisc45",
    "build_rs5m",
    "build_rsicd",
    "build_rsitmd",
    "build_rsscn7",
    "build_rsvg",
    "build_rsvqa",
    "build_skyscript",
    "build_skyscript_benchmark",
    "build_spacenet",
    "build_ssl4eo",
    "build_sydney_captions",
    "build_torchgeo",
    "build_ucm_captions",
    "build_vrsbench",
    "convert_geotiff",
    "facts_from_landcover",
    "facts_from_metadata",
    "facts_from_osm",
    "facts_from_places",
    "write_aerial_phantom",
    "write_sar_phantom",
    "write_sentinel2_phantom",
]
