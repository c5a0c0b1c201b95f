"""Sentences that name an SUVmax and a slice, turned into regions of the PET: weak labels for grounding.

After the data pipeline of ConTEXTual Net 3D (Huemann et al., "Vision-language modeling in PET/CT for visual grounding
of positive findings", 2025).
"""
