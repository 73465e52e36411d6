#!/usr/bin/env bash
# standardwebhooks 1.1.0 (Python): Webhook.sign drops the offset of a time instead of converting it, so that a webhook
# that is signed with a local time does not verify.
#
# Guessed: an aware datetime stands for its instant, whatever its offset is: sign(id, at, body) signs the same text for
# 20:00+08:00 as for 12:00Z, and the receiver verifies it with int(at.timestamp()) in the header `webhook-timestamp`.
# Seen: the signature has the time of the clock on the wall, here eight hours later. It verifies only for times in UTC.
# A naive datetime is taken for UTC, where its own timestamp() takes it for local time.
#
# Output:
#   UTC+00:00 verified
#   UTC+08:00 No matching signature found
#   naive, in Asia/Shanghai: No matching signature found
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check standardwebhooks==1.1.0
cat > "$folder/run.py" <<'PY'
import os
import time
from datetime import datetime, timedelta, timezone

from standardwebhooks import Webhook, WebhookVerificationError

os.environ["TZ"] = "Asia/Shanghai"
time.tzset()
webhook = Webhook("whsec_" + "QUJD" * 8)
body = '{"type":"test"}'


def check(at):
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": webhook.sign("msg_1", at, body),
    }
    try:
        webhook.verify(body, headers)
    except WebhookVerificationError as error:
        return str(error)
    return "verified"


now = datetime.now(timezone.utc).replace(microsecond=0)
for hours in (0, 8):
    zone = timezone(timedelta(hours=hours))
    print(f"UTC+{hours:02}:00", check(now.astimezone(zone)))
print("naive, in Asia/Shanghai:", check(datetime.now().replace(microsecond=0)))
PY
"$folder/venv/bin/python" "$folder/run.py" 2>&1 | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
