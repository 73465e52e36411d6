"""Tests of the pages, by HTTP and in a browser."""
