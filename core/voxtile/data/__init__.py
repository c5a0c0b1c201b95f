"""From a corpus to batches: presets, the order of an epoch, captions, the LightningDataModule."""
