"""Hostile or unlucky input to the product."""
