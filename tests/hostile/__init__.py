"""What somebody hostile, or only unlucky, can put before the product."""
