"""What a series is in its study: weighting of MR, phase and kernel of CT, correction of PET, view of an X-ray."""
