"""What the two generations of Longbridge's API share. It is no provider itself."""
