"""Recognises the format of a file by its content."""

from collections.abc import Mapping

from liushui.files.content import Content
from liushui.files.contract import FileFormat
from liushui.files.errors import FileError, NotRecognised


def recognise(content: Content, formats: Mapping[str, FileFormat]) -> FileFormat:
    """The format of a file. Raises NotRecognised, whose message describes the file and says how to import it."""
    known = [format_ for format_ in formats.values() if format_.recognise(content)]
    if len(known) == 1:
        return known[0]
    if known:
        names = " and ".join(f"{format_.name} ({format_.title})" for format_ in known)
        raise NotRecognised("this may be %(names)s: name one with --as", names=names)
    raise NotRecognised(describe(content, formats))


def check_is(content: Content, format_: FileFormat, formats: Mapping[str, FileFormat]) -> None:
    """Raise FileError if a file does not have the format that the user named."""
    if format_.recognise(content):
        return
    others = [other.name for other in formats.values() if other is not format_ and other.recognise(content)]
    if others:
        raise FileError("expected %(format)s, got what --as %(name)s reads", format=format_.title, name=others[0])
    lacking = format_.explain(content)
    raise FileError(
        "expected %(format)s: %(reason)s", format=format_.title, reason=lacking or describe(content, formats)
    )


def describe(content: Content, formats: Mapping[str, FileFormat]) -> str:
    """Describe an unrecognised file: its form, and the formats or mappings that could read it."""
    begin = content.head.lstrip()[:1]
    if not content.is_workbook and not content.head.strip():
        return "the file is empty"
    nearly = [(format_, lacking) for format_ in formats.values() if (lacking := format_.explain(content))]
    if nearly:
        format_, lacking = nearly[0]
        return f"this looks like {format_.title} (--as {format_.name}), but {lacking}"
    if begin in ("{", "["):
        return "this looks like JSON: saved answers of a provider are read with --provider PROVIDER"
    if begin == "<":
        return "this looks like XML, but not like CAMT.053 or OFX: export the statement in one of them, or as CSV"
    kind = "a workbook" if content.is_workbook else "a table"
    return (
        f"no format recognises the file. If it is {kind} with one row for each flow, `liushui import --propose FILE` "
        "writes a mapping for it"
    )
