"""What a simulator prints once it is ready: where it is, and its accounts. As JSON it is read by programs."""

import msgspec


class SimulatedAccount(msgspec.Struct):
    """One account of a simulator, as it prints it."""

    name: str
    provider: str
    flows: int
    credentials: dict[str, str]


class Simulator(msgspec.Struct):
    """What a simulator prints once it is ready."""

    base_url: str
    socket_url: str
    accounts: list[SimulatedAccount]
