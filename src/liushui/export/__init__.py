"""Exports: the flows of a range as files of other programs. One module a format; `formats` lists them."""
