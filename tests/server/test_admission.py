"""Admission control: turns of callers, threads of classes, excess requests, and clients that have disconnected."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

import pytest

from liushui.server.admission import (
    REFUSAL_DELAY,
    REFUSAL_DELAY_MAX,
    Admission,
    ClassLimits,
    RequestClass,
    RequestExecutor,
    Ticket,
    provider_ticket,
    refused,
    site_ticket,
    while_connected,
)

PATIENCE_S = 60
LIMITS = {
    RequestClass.API: ClassLimits(threads=2, caller_threads=1, requests=6, caller_requests=4),
    RequestClass.LOGIN: ClassLimits(threads=1, caller_threads=1, requests=6, caller_requests=4),
}
ANN, BEN = Ticket(RequestClass.API, "ann"), Ticket(RequestClass.API, "ben")


class Work:
    """Jobs that wait until they are let go, and the order in which they began."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.may_end = threading.Event()
        self._changed = threading.Condition()

    def job(self, name: str) -> Callable[[], None]:
        def run() -> None:
            with self._changed:
                self.begun.append(name)
                self._changed.notify_all()
            assert self.may_end.wait(PATIENCE_S)

        return run

    def wait_for(self, count: int) -> None:
        """Wait until so many have begun."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.begun) >= count, PATIENCE_S)


@contextmanager
def executing() -> Iterator[tuple[Admission, RequestExecutor, Work]]:
    """An executor, whose jobs end with the block."""
    executor, work = RequestExecutor(LIMITS), Work()
    try:
        yield Admission(LIMITS), executor, work
    finally:
        work.may_end.set()


def test_callers_take_turns_in_the_threads_of_their_class() -> None:
    with executing() as (admission, executor, work):
        with admission.admitted(ANN):
            anns = [executor.submit(work.job(f"ann {number}")) for number in range(3)]
        work.wait_for(1)
        with admission.admitted(BEN):
            ben = executor.submit(work.job("ben"))
        work.wait_for(2)
        assert work.begun == ["ann 0", "ben"], "ann has one thread at most"
        work.may_end.set()
        for future in (*anns, ben):
            future.result(PATIENCE_S)
        assert work.begun == ["ann 0", "ben", "ann 1", "ann 2"]


def test_a_class_waits_neither_for_another_class_nor_for_other_work() -> None:
    with executing() as (admission, executor, work):
        for ticket in (ANN, BEN):
            with admission.admitted(ticket):
                executor.submit(work.job(ticket.caller))
        work.wait_for(2)
        with admission.admitted(Ticket(RequestClass.LOGIN, "ann")):
            assert executor.submit(lambda: "logged in").result(PATIENCE_S) == "logged in"
        assert executor.submit(lambda: "checked").result(PATIENCE_S) == "checked"


def test_what_is_cancelled_before_its_turn_never_runs() -> None:
    with executing() as (admission, executor, work):
        with admission.admitted(ANN):
            first, second, third = (executor.submit(work.job(name)) for name in ("first", "second", "third"))
        work.wait_for(1)
        assert second.cancel()
        assert not first.cancel()
        work.may_end.set()
        third.result(PATIENCE_S)
        assert work.begun == ["first", "third"]


def test_an_error_of_a_job_is_its_result() -> None:
    with executing() as (admission, executor, _work), admission.admitted(ANN):
        with pytest.raises(ZeroDivisionError):
            executor.submit(lambda: 1 // 0).result(PATIENCE_S)
        assert executor.submit(int, "7").result(PATIENCE_S) == 7, "the thread goes on"


def test_requests_that_are_too_many_are_refused_until_others_have_ended() -> None:
    admission = Admission(LIMITS)
    admitted = [admission.admitted(ANN) for _ in range(4)]
    for request in admitted:
        request.__enter__()
    assert admission.refusal(ANN) is HTTPStatus.TOO_MANY_REQUESTS
    assert admission.refusal(BEN) is None
    with admission.admitted(BEN), admission.admitted(BEN):
        assert admission.refusal(Ticket(RequestClass.API, "cat")) is HTTPStatus.SERVICE_UNAVAILABLE
        assert admission.refusal(Ticket(RequestClass.LOGIN, "cat")) is None
    for request in reversed(admitted):
        request.__exit__(None, None, None)
    assert admission.refusal(ANN) is None


@pytest.mark.parametrize("status", [HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE])
@pytest.mark.parametrize("request_class", list(RequestClass))
def test_a_refusal_says_when_to_try_again(request_class: RequestClass, status: HTTPStatus) -> None:
    answer = refused(status, Ticket(request_class, "ann"))
    assert answer.status == status
    assert dict(answer.headers)["retry-after"] == "1"
    assert "ann" not in answer.body.decode()


def test_a_caller_gets_refusals_the_later_the_more_it_has_asked_for() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        admission, delays_s = Admission(LIMITS), {ANN: [0.0], BEN: [0.0]}

        async def ask(ticket: Ticket) -> None:
            begun_s = loop.time()
            assert (await admission.refuse(HTTPStatus.TOO_MANY_REQUESTS, ticket)).status == 429
            delays_s[ticket].append(loop.time() - begun_s)

        await asyncio.gather(*(ask(ANN) for _ in range(1_000)), ask(BEN))
        assert max(delays_s[ANN]) >= REFUSAL_DELAY_MAX.total_seconds()
        assert delays_s[BEN][1] < max(delays_s[ANN]), "the refusals of others do not count"
        begun_s = loop.time()
        await ask(ANN)
        assert loop.time() - begun_s >= REFUSAL_DELAY.total_seconds()

    asyncio.run(main())


def test_work_ends_when_the_client_has_gone() -> None:
    async def main() -> None:
        gone, ended = asyncio.Event(), asyncio.Event()

        async def work() -> str:
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            return "never"

        async def disconnect() -> None:
            await gone.wait()

        request = asyncio.create_task(while_connected(work(), disconnect()))
        await asyncio.sleep(0)
        gone.set()
        assert await request is None
        assert ended.is_set()

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_a_caller_that_is_cancelled_while_work_ends_is_cancelled() -> None:
    async def main() -> None:
        is_ending, may_end = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                is_ending.set()
                await may_end.wait()
                raise OSError("of interest to nobody") from None

        async def disconnect() -> None:
            pass

        request = asyncio.create_task(while_connected(work(), disconnect()))
        await is_ending.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        may_end.set()
        await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_work_ends_with_its_result_or_its_error() -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def done() -> int:
        return 7

    async def failed() -> None:
        raise OSError("gone")

    async def main() -> None:
        before = asyncio.all_tasks()
        assert await while_connected(done(), forever()) == 7
        with pytest.raises(OSError, match="gone"):
            await while_connected(failed(), forever())
        await asyncio.sleep(0)  # what was cancelled ends
        assert asyncio.all_tasks() == before, "nobody waits for the client any more"

    asyncio.run(asyncio.wait_for(main(), PATIENCE_S))


def test_the_class_of_a_request_follows_from_its_path_and_the_caller_from_its_headers() -> None:
    client = "192.0.2.1:5000"
    token, cookie = {"authorization": "Bearer a"}, {"cookie": "liushui_session=b"}
    for path, headers, expected in (
        ("/login", cookie, (RequestClass.LOGIN, "192.0.2.1")),
        ("/static/1/app.js", {}, (RequestClass.LOGIN, "192.0.2.1")),
        ("/", cookie, (RequestClass.PAGE, "liushui_session=b")),
        ("/flows", {}, (RequestClass.PAGE, "192.0.2.1")),
        ("/api/v1/balances", token | cookie, (RequestClass.API, "Bearer a")),
        ("/api/v1/events", token, (RequestClass.EVENTS, "Bearer a")),
    ):
        assert site_ticket(path, headers, client) == expected
    assert provider_ticket({"x-api-key": "k", **token}, client) == (RequestClass.PROVIDER, "k")
    assert provider_ticket({}, "[2001:db8::1]:5000") == (RequestClass.PROVIDER, "[2001:db8::1]")
