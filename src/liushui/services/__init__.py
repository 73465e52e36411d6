"""Use cases with more than one step. The command line, the API and the page call the same functions.

Each one checks its input, writes in one transaction, and raises errors that every face can show: InvalidField with the
field, NotFound, AlreadyExists and PermissionDenied.
"""
