"""Use cases with more than one step. The command line, the API and the page call the same ones.

Each checks what it is given, writes in one transaction, and raises errors that every face can show: InvalidField names
the field, NotFound, AlreadyExists and PermissionDenied say what is in the way.
"""
