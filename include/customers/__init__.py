"""The bank's customers: their tables, the way in from a file, the ways out by row and range."""
