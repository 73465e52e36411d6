"""A client written only from the document, with nothing but the standard library: a JSON job in, its result out.

The job has `url`, `corpid`, `corpsecret`, `asked` (the body of the first request), and optionally a first `token`. The
result has `pages`, each a list of rows, and `errors`, each an errcode with its errmsg, in order.
"""

import http.client
import json
import sys
from typing import Any
from urllib.parse import quote, urlsplit

PAGES_MAX = 1_000
TOKEN_GONE = (40014, 42001)


class Reader:
    """Reads the fund flows of one corporation."""

    def __init__(self, job: dict[str, Any]) -> None:
        where = urlsplit(job["url"])
        self.connection = http.client.HTTPConnection(str(where.hostname), where.port, timeout=30)
        self.prefix = where.path
        self.corpid, self.corpsecret = job["corpid"], job["corpsecret"]
        self.token = job.get("token")
        self.errors: list[tuple[int, str]] = []

    def pages(self, asked: dict[str, Any]) -> list[list[dict[str, Any]]]:
        """Every page, until an answer has no next_cursor or is an error."""
        pages: list[list[dict[str, Any]]] = []
        for _ in range(PAGES_MAX):
            answer = self.page(asked)
            if answer["errcode"] != 0:
                return pages
            pages.append(answer["fund_flow_list"])
            if not answer.get("next_cursor"):
                return pages
            asked = {**asked, "cursor": answer["next_cursor"]}
        raise AssertionError("no page was the last one")

    def page(self, asked: dict[str, Any]) -> dict[str, Any]:
        """One page. A token that is gone is fetched again, once."""
        for _ in range(2):
            if self.token is None:
                answer = self.call(
                    "GET", f"/cgi-bin/gettoken?corpid={quote(self.corpid)}&corpsecret={quote(self.corpsecret)}"
                )
                if answer["errcode"] != 0:
                    return answer
                self.token = answer["access_token"]
            path = f"/cgi-bin/externalpay/get_fund_flow?access_token={quote(self.token)}"
            answer = self.call("POST", path, json.dumps(asked))
            if answer["errcode"] not in TOKEN_GONE:
                return answer
            self.token = None
        return answer

    def call(self, method: str, path: str, body: str | None = None) -> dict[str, Any]:
        """One call. The document knows no other HTTP status than 200."""
        self.connection.request(method, self.prefix + path, body)
        response = self.connection.getresponse()
        content = response.read()
        if response.status != 200:
            raise AssertionError(f"HTTP {response.status}")
        answer: dict[str, Any] = json.loads(content)
        if answer["errcode"] != 0:
            self.errors.append((answer["errcode"], answer["errmsg"]))
        return answer


def main() -> None:
    job = json.load(sys.stdin)
    reader = Reader(job)
    json.dump({"pages": reader.pages(job["asked"]), "errors": reader.errors}, sys.stdout)


if __name__ == "__main__":
    main()
