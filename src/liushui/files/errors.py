"""The errors of a statement file."""

from liushui.errors import ConfigError


class FileError(ConfigError):
    """A file cannot be read as a statement. The text is one line that describes the file and says what to do.

    `template` has the `values` as %(name)s, so that the page can translate it. Without values it has no placeholders.
    """

    def __init__(self, template: str, **values: object) -> None:
        super().__init__(template % values if values else template)
        self.template, self.values = template, values


class NotRecognised(FileError):
    """No format recognises a file, or several do."""


class PasswordNeeded(FileError):
    """An archive has a password, and the user gave none, or a wrong one."""

    def __init__(self, *, is_wrong: bool) -> None:
        super().__init__(
            "the password is wrong"
            if is_wrong
            else "the archive has a password: give it at the prompt, or in the "
            "environment variable LIUSHUI_ARCHIVE_PASSWORD"
        )
        self.is_wrong = is_wrong
