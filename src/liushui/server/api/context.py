"""One call of the API: who asks, which accounts they may see of those they name, and an answer with its tag."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, TypeAlias

import msgspec
from litestar import MediaType, Request, Response
from litestar.di import NamedDependency
from litestar.params import SkipValidation

from liushui.client.models import Word
from liushui.ledger.engine import Ledger
from liushui.ledger.read.accounts import read_heads
from liushui.ledger.read.model import ReadModel
from liushui.provider import Provider
from liushui.server.api.errors import not_found
from liushui.server.context import AppContext, principal_of
from liushui.services.access import Principal

APP_CONTEXT: Final = "liushui_context"
"""Under this name the application keeps the app_context."""


@dataclass(frozen=True)
class RequestContext:
    """A request of somebody who is known."""

    request: Request[Any, Any, Any]
    app_context: AppContext
    principal: Principal

    @property
    def ledger(self) -> Ledger:
        """The ledger that is asked."""
        return self.app_context.ledger

    @property
    def read_model(self) -> ReadModel:
        """Answers questions about the ledger."""
        return self.app_context.read_model

    @property
    def providers(self) -> Mapping[str, Provider]:
        """The installed providers by name."""
        return self.app_context.providers

    @property
    def whose(self) -> list[str] | None:
        """The accounts that the caller may see; None: all of them. What a cursor holds for no other caller."""
        return None if self.principal.accounts is None else sorted(self.principal.accounts)

    def accounts(self, named: Collection[str] = ()) -> tuple[str, ...]:
        """The accounts that are meant: those named, or all that the caller may see. It may be none at all.

        Raises ProblemError for one that is not there, or is not theirs: in the same words.
        """
        there = read_heads(self.ledger, sorted(named) if named else None)
        visible = tuple(name for name in there if self.principal.sees(name))
        for name in named:
            if name not in visible:
                raise not_found("account", name)
        return visible

    def account(self, name: str) -> str:
        """One account. Raises ProblemError."""
        return self.accounts((name,))[0]

    def answer(self, word: Word, status: HTTPStatus = HTTPStatus.OK) -> Response[Any]:
        """An answer that nobody keeps."""
        return Response(
            msgspec.json.encode(word),
            status_code=status,
            media_type=MediaType.JSON,
            headers={"Cache-Control": "no-store"},
        )

    def tagged(self, names: tuple[str, ...], make: Callable[[], Word]) -> Response[Any]:
        """An answer that only commits to these accounts change: whoever has it already is told so, at little cost."""
        tag = self._tag(names)
        headers = {"ETag": tag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie, Accept-Encoding"}
        if tag in _tags(self.request.headers.get("if-none-match", "")):
            return Response(b"", status_code=HTTPStatus.NOT_MODIFIED, media_type=MediaType.JSON, headers=headers)
        body = msgspec.json.encode(make())
        if self._tag(names) != tag:  # somebody wrote meanwhile: nobody can say which state this is
            del headers["ETag"]
        return Response(body, media_type=MediaType.JSON, headers=headers)

    def _tag(self, names: tuple[str, ...]) -> str:
        """What changes with every state of the accounts, every question, and every coding of the answer."""
        about = (
            str(self.request.url.path),
            sorted(self.request.query_params.multi_items()),
            self.request.headers.get("accept-encoding", ""),
            self.read_model.fingerprints(names),
        )
        return f'"{sha256(msgspec.json.encode(about)).hexdigest()[:32]}"'


Context: TypeAlias = NamedDependency[SkipValidation[RequestContext]]  # msgspec cannot validate what the context holds
"""Annotates the parameter of a handler that takes the context."""


def provide_context(request: Request[Any, Any, Any]) -> RequestContext:
    """The context of a request that has passed the guard of the routes."""
    return RequestContext(request, request.app.state[APP_CONTEXT], principal_of(request))


def _tags(said: str) -> list[str]:
    return [tag.strip().removeprefix("W/") for tag in said.split(",")]
