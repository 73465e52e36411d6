"""What accounts of each role do."""

from collections.abc import Mapping
from typing import Final

from liushui.provider import Role
from liushui.simulate.broker import BROKER
from liushui.simulate.futures import FUTURES
from liushui.simulate.role_profile import Habits
from liushui.simulate.shop import SHOP

HABITS: Final[Mapping[Role, Habits]] = {Role.BROKER: BROKER, Role.FUTURES: FUTURES, Role.SHOP: SHOP}
