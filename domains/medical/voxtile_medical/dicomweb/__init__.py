"""DICOMweb (PS3.18): series asked for, retrieved and sent back."""
