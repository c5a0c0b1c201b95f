"""The PET/CT phantom: the torso with what takes up FDG."""
