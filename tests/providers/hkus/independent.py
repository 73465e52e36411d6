"""A client that is written only from the document and the standard library, as any outsider would write one.

It reads a job as JSON on standard input, and prints the result of each call on standard output. Numbers stay as
written.
"""

import hashlib
import hmac
import http.client
import json
import sys
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

PATH = "/account/v1/transactions"
PAGES_MAX = 1_000

Json = dict[str, Any]


def main() -> None:
    job = json.load(sys.stdin)
    client = Client(job["base_url"], job["api_key"], job["api_secret"])
    results = [
        client.drained(call["query"]) if call.get("drain") else client.get(call["query"]) for call in job["calls"]
    ]
    json.dump(results, sys.stdout)


class Client:
    """Somebody with an API key."""

    def __init__(self, base_url: str, api_key: str, api_secret: str) -> None:
        self.base, self.key, self.secret = urlsplit(base_url), api_key, api_secret

    def get(self, query: Json) -> Json:
        """One call: its HTTP status and its JSON."""
        target = f"{self.base.path}{PATH}"
        if query:
            target += f"?{urlencode(query)}"
        timestamp = str(time.time_ns() // 1_000_000)
        message = f"{timestamp}GET{target}"
        headers = {
            "X-API-Key": self.key,
            "X-API-Timestamp": timestamp,
            "X-API-Signature": hmac.new(self.secret.encode(), message.encode(), hashlib.sha256).hexdigest(),
            "Content-Type": "application/json",
        }
        connection = http.client.HTTPConnection(str(self.base.hostname), self.base.port, timeout=30)
        try:
            connection.request("GET", target, headers=headers)
            response = connection.getresponse()
            return {"status": response.status, "body": json.loads(response.read(), parse_float=str)}
        finally:
            connection.close()

    def drained(self, query: Json) -> Json:
        """The rows of every page, until as many came as total_records says."""
        rows: list[Json] = []
        for page in range(1, PAGES_MAX):
            answer = self.get({**query, "page": page})
            if answer["status"] != 200:
                return answer
            data = answer["body"]["data"]
            rows += data["transactions"]
            if page * data["page_size"] >= data["total_records"]:
                return {"rows": rows, "total": data["total_records"], "pages": page}
        raise RuntimeError(f"there are more than {PAGES_MAX} pages")


if __name__ == "__main__":
    main()
