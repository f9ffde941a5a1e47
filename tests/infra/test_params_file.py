"""A tuned set in params.yaml: every value taken over, every comment kept, and said where from."""

from include.settings import Settings

FILE = Settings().params_file
