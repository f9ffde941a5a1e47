"""The stack without containers: `make setup`, `make run` and what they are made of."""
