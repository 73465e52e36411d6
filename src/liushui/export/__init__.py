"""Exports: the flows of a range as files of other programs. Each format has one module, and `formats` lists them."""
