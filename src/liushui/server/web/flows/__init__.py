"""The page that lists flows."""
