"""Customers month by month and the days on which they left: what early warning is learned from."""
