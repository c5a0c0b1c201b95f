"""Large pictures tile by tile, as Deep Zoom has them: slides from their files or patches, and large arrays."""
