"""OpenStreetMap to facts, captions and boxes, by a published and versioned generator (docs/osm-captions.md)."""
