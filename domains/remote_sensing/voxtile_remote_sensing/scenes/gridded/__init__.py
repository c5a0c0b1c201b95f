"""NetCDF and Zarr."""
