"""The parts that pages are made of, each with its callbacks beside it."""
