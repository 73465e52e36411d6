"""The sync: plan which slices are due, drain them, prove them, commit them."""
