"""The prediction log: how an answer becomes a row, and where rows lie in the store."""
