"""From an answer to the store: the local spool, and the process that ships it."""
