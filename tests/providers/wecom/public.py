"""A program that calls a public client, `wechatpy`: a job as JSON on standard input, its result on standard output.

The job has `module` (where WeChatClient is), `url`, `corpid`, `corpsecret` and `asked` (the body of the first request).
It may have a first `token`, and `lose_after`, the number of pages after which the token is lost. The result has
`pages`, `fetches` (the number of token requests), and `error`, the client's message to its user, or null.
"""

import json
import sys
from importlib import import_module
from typing import Any

PAGES_MAX = 1_000


def client_of(job: dict[str, Any]) -> Any:  # noqa: ANN401 - two versions of one class, neither of them typed
    """A client that is pointed at us: it names the official host in two places."""

    class Client(import_module(job["module"]).WeChatClient):  # type: ignore[misc]
        API_BASE_URL = f"{job['url']}/cgi-bin/"
        fetches = 0

        def fetch_access_token(self) -> Any:  # noqa: ANN401 - as the client has it
            self.fetches += 1
            credentials = {"corpid": self.corp_id, "corpsecret": self.secret}
            return self._fetch_access_token(url=f"{self.API_BASE_URL}gettoken", params=credentials)

    return Client(job["corpid"], job["corpsecret"], access_token=job.get("token"))


def main() -> None:
    job = json.load(sys.stdin)
    client = client_of(job)
    pages: list[list[dict[str, Any]]] = []
    error = None
    refused = import_module("wechatpy.exceptions").WeChatClientException
    asked = job["asked"]
    try:
        while len(pages) < PAGES_MAX:
            answer = client.post("externalpay/get_fund_flow", data=asked)
            pages.append(answer["fund_flow_list"])
            if not answer.get("next_cursor"):
                break
            asked = {**asked, "cursor": answer["next_cursor"]}
            if len(pages) == job.get("lose_after"):
                client.session.set(client.access_token_key, "lost")
    except refused as refusal:
        error = [refusal.errcode, refusal.errmsg, type(refusal).__name__]
    json.dump({"pages": pages, "fetches": client.fetches, "error": error}, sys.stdout)


if __name__ == "__main__":
    main()
