"""The containers: their settings, their first start, their backup."""
