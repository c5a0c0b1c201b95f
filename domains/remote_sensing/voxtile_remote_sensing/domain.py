"""The remote-sensing domain's entry point."""

from pathlib import Path

from voxtile.domain import Command, Domain, files_beside

domain = Domain(
    name="remote_sensing",
    title="satellite and aerial scenes: Sentinel, Landsat, SAR, GeoTIFF, OpenStreetMap",
    files=files_beside(__file__),
    converters={
        "geotiff": Command(
            "voxtile_remote_sensing.tiles.convert:convert_geotiff",
            "scenes (SAFE, Landsat, GeoTIFF, …) to tiles with named bands, masks and splits by place",
            "voxtile convert geotiff scenes corpus --size 256px",
        ),
    },
    phantoms={
        "sentinel2": Command(
            "voxtile_remote_sensing.phantom.sentinel2:write_sentinel2_phantom",
            "synthetic Sentinel-2 L2A products with a map, land cover, captions and known truth",
        ),
        "aerial": Command(
            "voxtile_remote_sensing.phantom.aerial:write_aerial_phantom",
            "synthetic aerial photographs with buildings, roads, planes and pools, their map and captions",
        ),
        "sar": Command(
            "voxtile_remote_sensing.phantom.sar:write_sar_phantom",
            "synthetic Sentinel-1 backscatter with speckle, a map, captions and known truth",
        ),
    },
    recipes={
        "geochat": Command(
            "voxtile_remote_sensing.recipes.questions:build_geochat", "GeoChat: conversations about scenes, with boxes"
        ),
        "rsvqa": Command(
            "voxtile_remote_sensing.recipes.questions:build_rsvqa",
            "RSVQA: questions about scenes, low and high resolution",
        ),
        "skyscript": Command(
            "voxtile_remote_sensing.recipes.skyscript:build_skyscript", "SkyScript's pictures and tables of captions"
        ),
        "skyscript-benchmark": Command(
            "voxtile_remote_sensing.recipes.skyscript_benchmark:build_skyscript_benchmark",
            "SkyScript's classification and retrieval sets",
        ),
        "rs5m": Command("voxtile_remote_sensing.recipes.picture_tars:build_rs5m", "RS5M's tars"),
        "rsicd": Command(
            "voxtile_remote_sensing.recipes.captioned_pictures:build_rsicd", "RSICD with five captions a picture"
        ),
        "rsitmd": Command(
            "voxtile_remote_sensing.recipes.captioned_pictures:build_rsitmd", "RSITMD with five captions a picture"
        ),
        "ucm-captions": Command("voxtile_remote_sensing.recipes.captioned_pictures:build_ucm_captions", "UCM-Captions"),
        "sydney-captions": Command(
            "voxtile_remote_sensing.recipes.captioned_pictures:build_sydney_captions", "Sydney-Captions"
        ),
        "nwpu-captions": Command(
            "voxtile_remote_sensing.recipes.captioned_pictures:build_nwpu_captions", "NWPU-Captions"
        ),
        "eurosat": Command("voxtile_remote_sensing.recipes.eurosat:build_eurosat", "EuroSAT in colour"),
        "eurosat-ms": Command("voxtile_remote_sensing.recipes.eurosat:build_eurosat_ms", "EuroSAT with all 13 bands"),
        "bigearthnet": Command(
            "voxtile_remote_sensing.recipes.bigearthnet:build_bigearthnet",
            "BigEarthNet v2.0, Sentinel-2 and Sentinel-1",
        ),
        "resisc45": Command("voxtile_remote_sensing.recipes.scene_classes:build_resisc45", "NWPU-RESISC45"),
        "aid": Command("voxtile_remote_sensing.recipes.scene_classes:build_aid", "AID"),
        "fmow": Command("voxtile_remote_sensing.recipes.fmow:build_fmow", "Functional Map of the World, RGB"),
        "patternnet": Command("voxtile_remote_sensing.recipes.scene_classes:build_patternnet", "PatternNet"),
        "rsscn7": Command("voxtile_remote_sensing.recipes.scene_classes:build_rsscn7", "RSSCN7"),
        "ssl4eo-s12": Command("voxtile_remote_sensing.recipes.ssl4eo:build_ssl4eo", "SSL4EO-S12 v1.1 with captions"),
        "chatearthnet": Command("voxtile_remote_sensing.recipes.chatearthnet:build_chatearthnet", "ChatEarthNet"),
        "gaia": Command("voxtile_remote_sensing.recipes.picture_tars:build_gaia", "GAIA's tars"),
        "dior-rsvg": Command(
            "voxtile_remote_sensing.recipes.expressions:build_dior_rsvg", "DIOR-RSVG: expressions with boxes"
        ),
        "rsvg": Command("voxtile_remote_sensing.recipes.expressions:build_rsvg", "RSVG: expressions with boxes"),
        "vrsbench": Command(
            "voxtile_remote_sensing.recipes.expressions:build_vrsbench", "VRSBench: captions, expressions, boxes"
        ),
        "air-slt": Command(
            "voxtile_remote_sensing.recipes.expressions:build_air_slt",
            "AIR-SLT: sentences of large pictures with the outlines of what they mean",
        ),
        "spacenet": Command("voxtile_remote_sensing.recipes.spacenet:build_spacenet", "SpaceNet's building footprints"),
        "torchgeo": Command(
            "voxtile_remote_sensing.recipes.torchgeo_set:build_torchgeo",
            "any of torchgeo's sets of labelled or captioned pictures, by name",
            "voxtile build torchgeo root corpus --dataset EuroSAT",
        ),
    },
    facts={
        "osm": Command(
            "voxtile_remote_sensing.osm.command:facts_from_osm",
            "OpenStreetMap (.osm.pbf, .geojson, .gpkg): facts, boxes and captions",
            "voxtile facts corpus --from osm --osm berlin.osm.pbf",
        ),
        "landcover": Command(
            "voxtile_remote_sensing.landcover.command:facts_from_landcover",
            "land-cover rasters: CORINE, WorldCover, Dynamic World, Cropland Data Layer",
            "voxtile facts corpus --from landcover --raster clc2018.tif --legend corine",
        ),
        "metadata": Command(
            "voxtile_remote_sensing.metadata.command:facts_from_metadata",
            "season, height of the sun, resolution, and place names from a local table",
            "voxtile facts corpus --from metadata --gazetteer cities.csv",
        ),
        "places": Command(
            "voxtile_remote_sensing.footprints.command:facts_from_places",
            "labels and captions of polygons or points, given to the tiles where they lie",
        ),
    },
    readers={
        "raster-window": Command("voxtile_remote_sensing.tiles.reference:open_reference", "tiles of raster files")
    },
    band_pictures=Command(
        "voxtile_remote_sensing.bands.pictures:band_pictures", "band combinations and indices of tiles, by name"
    ),
    claims=tuple(
        Path(__file__).parent / "claims" / f"{name}.yaml"
        for name in ("objects", "landcover", "lay_words", "scene", "imaging", "unseen")
    ),
    wordings=(Path(__file__).parent / "wordings" / "remote_sensing.yaml",),
    phrases=Path(__file__).parent / "phrases" / "remote_sensing.yaml",
    prompts=tuple(sorted((Path(__file__).parent / "prompts").glob("*.yaml"))),
    questions=(Path(__file__).parent / "questions" / "remote_sensing.yaml",),
)
