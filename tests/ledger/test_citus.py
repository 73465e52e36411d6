"""A ledger on a real Citus. LIUSHUI_TEST_CITUS_URL names a database of its coordinator that these tests may empty.

LIUSHUI_TEST_CITUS_STOP and LIUSHUI_TEST_CITUS_START are commands that stop one of its workers, as a crash does, and
start it again; without them the tests of a node that is down are left out. docs/citus.md says how to run one.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from liushui.errors import LedgerError
from liushui.ledger import standing
from liushui.ledger.backup import back_up
from liushui.ledger.commit import make_account
from liushui.ledger.copying import copy_ledger
from liushui.ledger.engine import Ledger, open_ledger
from liushui.ledger.query import FlowFilter, balances, list_flows, statuses, summary
from liushui.ledger.restore import restore
from liushui.ledger.reader import LedgerReader
from liushui.ledger.unfinished import empty, finish
from liushui.ledger.verify import Verified, verify
from liushui.ledger.versions import balances_as_of
from liushui.testing.clock import NOON, MovableClock
from tests.engines import keep_out_of_home
from tests.ledger.books import READ_AT, assert_intact, came, column, hours, keep, new_ledger, tables
from tests.ledger.moving import copy, in_file, moved, opened_at, prepare_to_move

URL: Final = os.environ.get("LIUSHUI_TEST_CITUS_URL", "")
STOP: Final = os.environ.get("LIUSHUI_TEST_CITUS_STOP", "")
START: Final = os.environ.get("LIUSHUI_TEST_CITUS_START", "")
