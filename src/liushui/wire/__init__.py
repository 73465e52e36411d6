"""What several dialects share, knowing none of them."""
