"""Batches: what asks for one, what items are made of before they are one, and how they are put together."""
