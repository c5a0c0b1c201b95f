"""The LightningModule, optimiser, schedule and callbacks."""
