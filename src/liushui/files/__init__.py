"""Shared by all formats of statement files: unpacking, encodings, tables, cells, recognition. Names no bank."""
