"""Every installed format of statement files passes the checks for all formats."""

import pytest

from liushui.files.contract import FileFormat
from liushui.formats import load_formats
from liushui.testing.file_formats import check_format, samples_of

FORMATS = [pytest.param(known, id=name) for name, known in load_formats().items() if known.is_recognised]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_format_conforms(format_: FileFormat) -> None:
    check_format(format_, samples_of(format_.name))
