"""Code that both generations of Longbridge's API share. It is not a provider itself."""
