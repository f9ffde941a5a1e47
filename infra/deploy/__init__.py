"""A machine's images replaced by another commit's, and put back where those do not answer."""
