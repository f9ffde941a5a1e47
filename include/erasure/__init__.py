"""Forgetting one customer: `make forget CUSTOMER=…`."""
