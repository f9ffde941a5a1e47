"""A machine's images replaced by another commit's, and put back where the new ones do not answer."""
