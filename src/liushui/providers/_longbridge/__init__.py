"""What both generations of Longbridge's API share: its signatures, its envelope, its rows, its names for movements."""
