"""Stains of H&E: estimated as scores, varied as augmentation."""
