"""The remote-sensing domain's entry point."""

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
    },
    recipes={},
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
    wordings=(),
)
