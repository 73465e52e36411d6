"""What all formats of statement files share: unpacking, encodings, tables, cells, recognition. Names no bank."""
