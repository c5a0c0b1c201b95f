"""What each sensor measures: bands with names, wavelengths, resolutions and the step to physical values."""
