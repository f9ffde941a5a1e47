"""The five pages, each a pure function of what it is given and a registration of its callbacks."""
