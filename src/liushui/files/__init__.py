"""What formats of statement files share and that names no bank: unpacking, encodings, tables, cells, recognition."""
