"""The pages: what they say to a browser, and what a browser makes of them."""
