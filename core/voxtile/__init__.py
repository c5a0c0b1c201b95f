"""voxtile: image-text models on imagery that ordinary CLIP tools cannot read."""

__version__ = "0.1.0"
