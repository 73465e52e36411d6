#!/usr/bin/env bash
# Authlib 1.9.10: its httpx client is one of httpx2, the successor of httpx. It is an httpx client only where httpx2 is
# not installed, and then importing it warns.
#
# Guessed: authlib.integrations.httpx_client.OAuth2Client is an httpx.Client, so a program that catches httpx.HTTPError
# around it catches a provider that does not answer.
# Seen: with both packages installed it is an httpx2.Client, and its errors are none of httpx: the program ends with a
# traceback on the day when another package brings httpx2 along.
#
# Output:
#   with httpx alone: an httpx.Client, 1 deprecation warning, ConnectError is an httpx.HTTPError: True
#   with httpx2 too: an httpx2.Client, 0 deprecation warnings, ConnectError is an httpx.HTTPError: False
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check authlib==1.9.10 httpx==0.28.1 2>/dev/null
cat > "$folder/run.py" <<'PY'
import sys
import warnings

import httpx

with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    from authlib.integrations.httpx_client import OAuth2Client
base = next(c for c in OAuth2Client.__mro__ if c.__name__ == "Client")
deprecations = [one for one in seen if "httpx" in str(one.message)]
try:
    OAuth2Client(client_id="c").request("GET", "http://127.0.0.1:9/", withhold_token=True)
except Exception as error:
    kind, is_known = type(error).__name__, isinstance(error, httpx.HTTPError)
plural = "" if len(deprecations) == 1 else "s"
print(
    f"{sys.argv[1]}: an {base.__module__.partition('.')[0]}.Client, {len(deprecations)} deprecation warning{plural}, "
    f"{kind} is an httpx.HTTPError: {is_known}"
)
PY
"$folder/venv/bin/python" "$folder/run.py" "with httpx alone" 2>&1 | tee "$folder/seen"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check httpx2==2.16.0 2>/dev/null
"$folder/venv/bin/python" "$folder/run.py" "with httpx2 too" 2>&1 | tee -a "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
