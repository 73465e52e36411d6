"""Tests of the reconciliation of money."""
