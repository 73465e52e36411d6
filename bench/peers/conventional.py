"""The same pages from a conventional service: FastAPI, Pydantic, SQLAlchemy's ORM, SQLite, Uvicorn with two workers.

Written as the guides of FastAPI and SQLAlchemy recommend, with an index for its query. It does the same work: it loads
the key for each request, checks the same signature, and writes the same envelope. `python -m bench.peers.conventional
ROWS.jsonl DATABASE` fills its tables and prints a key.
"""

# FastAPI is only in the dependency group `bench`; without it, these classes have no types:
# mypy: disable-error-code="import-not-found,misc,untyped-decorator"

import hmac
import os
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import msgspec
from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Index, Integer, Text, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from liushui.providers._longbridge.wire import sign, signature_matches
from liushui.providers.longbridge import PROVIDER

DATABASE: Final = "LIUSHUI_BENCH_DATABASE"
"""The environment variable with the path of the database."""
ACCOUNT: Final = "bench"
CHUNK: Final = 10_000
TOLERANCE_S: Final = 300


class Base(DeclarativeBase):
    """The tables."""


class ApiKey(Base):
    """A key, and the account it reads."""

    __tablename__ = "api_keys"

    app_key: Mapped[str] = mapped_column(Text, primary_key=True)
    app_secret: Mapped[str] = mapped_column(Text)
    access_token: Mapped[str] = mapped_column(Text)
    account: Mapped[str] = mapped_column(Text)


class CashFlow(Base):
    """One flow. The amount is text, because SQLite has no exact decimals."""

    __tablename__ = "cash_flows"
    __table_args__ = (Index("cash_flows_by_time", "account", "business_time"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    account: Mapped[str] = mapped_column(Text)
    transaction_flow_name: Mapped[str] = mapped_column(Text)
    direction: Mapped[int]
    business_type: Mapped[int]
    balance: Mapped[str] = mapped_column(Text)
    currency: Mapped[str] = mapped_column(Text)
    business_time: Mapped[int]
    symbol: Mapped[str | None] = mapped_column(Text)
    description: Mapped[str] = mapped_column(Text)


class CashFlowOut(BaseModel):
    """A flow on the wire."""

    model_config = ConfigDict(from_attributes=True, coerce_numbers_to_str=True)

    transaction_flow_name: str
    direction: int
    business_type: int
    balance: str
    currency: str
    business_time: str
    symbol: str | None
    description: str


class CashFlowList(BaseModel):
    """`data` of an answer."""

    list: list[CashFlowOut]


class Envelope(BaseModel):
    """An answer."""

    code: int
    message: str
    data: CashFlowList


engine = create_engine(
    f"sqlite:///{os.environ.get(DATABASE, ':memory:')}", connect_args={"check_same_thread": False}, pool_size=40
)
app = FastAPI()


def get_session() -> Iterator[Session]:
    """A session for one request."""
    with Session(engine) as session:
        yield session


SessionDependency = Annotated[Session, Depends(get_session)]


def get_key(
    request: Request,
    session: SessionDependency,
    x_api_key: Annotated[str, Header()],
    authorization: Annotated[str, Header()],
    x_timestamp: Annotated[str, Header()],
    x_api_signature: Annotated[str, Header()],
) -> ApiKey:
    """The key whose signature the request carries."""
    key = session.get(ApiKey, x_api_key)
    if key is None:
        raise HTTPException(403, "apikey illegal")
    if not hmac.compare_digest(authorization, key.access_token):
        raise HTTPException(401, "token expired or invalid")
    signature = sign(
        secret=key.app_secret,
        method=request.method,
        path=request.url.path,
        query=request.url.query,
        headers=request.headers,
    )
    if not signature_matches(x_api_signature, signature):
        raise HTTPException(403, "signature invalid")
    if abs(time.time() - int(x_timestamp)) > TOLERANCE_S:
        raise HTTPException(403, "signature invalid: x-timestamp is off")
    return key


@app.get("/v1/asset/cashflow")
def cash_flows(
    session: SessionDependency,
    key: Annotated[ApiKey, Depends(get_key)],
    start_time: Annotated[int, Query(ge=0)],
    end_time: Annotated[int, Query(ge=0)],
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=10_000)] = 50,
    business_type: int | None = None,
    symbol: str | None = None,
) -> Envelope:
    """One page, newest first."""
    wanted = select(CashFlow).where(
        CashFlow.account == key.account, CashFlow.business_time >= start_time, CashFlow.business_time <= end_time
    )
    if business_type is not None:
        wanted = wanted.where(CashFlow.business_type == business_type)
    if symbol is not None:
        wanted = wanted.where(CashFlow.symbol == symbol)
    wanted = wanted.order_by(CashFlow.business_time.desc(), CashFlow.id.desc())
    found = session.scalars(wanted.limit(size).offset((page - 1) * size)).all()
    rows = [CashFlowOut.model_validate(flow) for flow in found]
    return Envelope(code=0, message="success", data=CashFlowList(list=rows))


def fill(rows: Path, database: Path) -> dict[str, str]:
    """Create the tables, insert the rows, and return the credentials of a key."""
    target = create_engine(f"sqlite:///{database}")
    Base.metadata.create_all(target)
    decode = msgspec.json.Decoder(dict[str, object]).decode
    credentials = PROVIDER.new_credentials(os.urandom)
    with rows.open("rb") as lines, target.begin() as connection:
        while chunk := [decode(line) for line in islice(lines, CHUNK)]:
            values = [{**row, "account": ACCOUNT, "business_time": int(str(row["business_time"]))} for row in chunk]
            connection.execute(insert(CashFlow), values)
        connection.execute(insert(ApiKey), [{**credentials, "account": ACCOUNT}])
    target.dispose()
    return credentials


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(fill(Path(sys.argv[1]), Path(sys.argv[2]))).decode() + "\n")
