"""A program that calls Alipay's own Python client, `alipay-sdk-python`: a job as JSON on standard input, its results on
standard output. The job is that of public.py.

The client always connects to port 80. Here that connection is redirected to the port of the job's URL, below the
client.
"""

import json
import socket
import sys
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

PAGES_MAX = 500


def turn_port_80_to(port: int) -> None:
    connect = socket.create_connection

    def create_connection(address: tuple[str, int], *rest: Any, **more: Any) -> socket.socket:  # noqa: ANN401
        host, asked = address
        return connect((host, port if asked == 80 else asked), *rest, **more)

    socket.create_connection = create_connection  # type: ignore[assignment]


def result_of(job: dict[str, Any], call: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    api = "alipay.aop.api"
    given = job["credentials"] | call.get("credentials", {})
    config = import_module(f"{api}.AlipayClientConfig").AlipayClientConfig()
    config.server_url = f"http://{urlsplit(job['url']).hostname}/gateway.do"
    config.app_id = given["app_id"]
    config.timeout = call.get("timeout_ms", 15_000) // 1000
    config.app_private_key = given["app_private_key"]
    config.alipay_public_key = given["alipay_public_key"]
    client = import_module(f"{api}.DefaultAlipayClient").DefaultAlipayClient(config)
    name = "AlipayDataBillAccountlogQuery"
    failures = import_module(f"{api}.exception.Exception")
    rows: list[dict[str, Any]] = []
    tries = call.get("tries", 0)

    def ask(request: Any) -> Any:  # noqa: ANN401 - the client is not typed
        nonlocal tries
        while True:
            try:
                return client.execute(request)
            except (TypeError, OSError, failures.RequestException):  # a TypeError for every status but 200
                if not tries:
                    raise
                tries -= 1

    for number in range(1, PAGES_MAX):
        model = import_module(f"{api}.domain.{name}Model").__dict__[f"{name}Model"]()
        for field, value in {"page_no": str(number), **call.get("content", {})}.items():
            setattr(model, field, value)
        request = import_module(f"{api}.request.{name}Request").__dict__[f"{name}Request"](biz_model=model)
        text = ask(request)
        answer = import_module(f"{api}.response.{name}Response").__dict__[f"{name}Response"]()
        answer.parse_response_content(text)
        if not answer.is_success():
            return {"kind": "answer", "error": answer.sub_code, "msg": answer.sub_msg}
        page = json.loads(text)
        assert [row.account_log_id for row in answer.detail_list or []] == [
            row.get("account_log_id") for row in page.get("detail_list", [])
        ]
        rows += page.get("detail_list", [])
        if not page.get("detail_list") or not call.get("drain"):
            break
    return {"rows": rows, "pages": number, "tries": tries}


def main() -> None:
    job = json.load(sys.stdin)
    turn_port_80_to(urlsplit(job["url"]).port or 80)
    failures = import_module("alipay.aop.api.exception.Exception")
    results: list[Any] = []

    def add_result(call: dict[str, Any]) -> None:
        try:
            results.append(result_of(job, call))
        except (failures.ResponseException, failures.RequestException) as error:
            results.append({"kind": type(error).__name__, "error": None, "msg": str(error)})

    for call in job["calls"]:
        add_result(call)
    json.dump(results, sys.stdout)


if __name__ == "__main__":
    main()
