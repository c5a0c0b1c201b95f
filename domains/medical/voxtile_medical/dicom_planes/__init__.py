"""From frames to volumes: pixels, planes and their geometry."""
