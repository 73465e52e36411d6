#!/usr/bin/env bash
# rfc3161-client 1.0.9 with OpenSSL 3: whether it reads a time stamp that carries two certificates depends on their length.
#
# Guessed: decode_timestamp_response reads every answer of `openssl ts -reply`, with the chain in it or without.
# Seen: CMS has the certificates as a SET OF, which DER sorts by their bytes. `openssl ts` writes the signer's first and
# those of `certs` after it, unsorted; `openssl ts -verify` accepts any order. rfc3161-client refuses the answer unless it
# happens to be sorted, that is, unless the certificate after the signer's is the longer one. A client of authorities that
# send their chain cannot rely on it; one that needs no chain asks the authority to leave it out.
#
# Output:
#   signer only: openssl verifies it, rfc3161-client reads it
#   signer, longer root: openssl verifies it, rfc3161-client reads it
#   signer, shorter root: openssl verifies it, rfc3161-client refuses it: InvalidSetOrdering
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rfc3161-client==1.0.9
cd "$folder"
printf '%s\n' 'extendedKeyUsage=critical,timeStamping' 'basicConstraints=CA:FALSE' > extensions
echo 01 > serial
echo content > data

authority() { # NAME, the subject of its root
    openssl req -x509 -newkey rsa:2048 -nodes -keyout "$1.key" -out "$1.pem" -subj "$2" -days 30 2> log
    openssl req -newkey rsa:2048 -nodes -keyout "$1-signer.key" -out csr -subj "/CN=signer of time stamps" 2> log
    openssl x509 -req -in csr -CA "$1.pem" -CAkey "$1.key" -CAcreateserial -extfile extensions -days 30 \
        -out "$1-signer.pem" 2> log
}

stamp() { # TITLE, NAME, the line of the configuration that names the chain
    printf '%s\n' '[tsa]' 'default_tsa = local' '[local]' 'serial = serial' "signer_cert = $2-signer.pem" "$3" \
        "signer_key = $2-signer.key" 'signer_digest = sha256' 'default_policy = 1.2.3.4' 'digests = sha256' > tsa.cnf
    openssl ts -query -data data -sha256 -cert -out query 2> log
    openssl ts -reply -config tsa.cnf -queryfile query -out answer 2> log
    openssl ts -verify -data data -in answer -CAfile "$2.pem" > log 2>&1
    echo "$1: openssl verifies it, rfc3161-client $(venv/bin/python read.py)"
}

cat > read.py <<'PY'
import re
from pathlib import Path

from rfc3161_client import decode_timestamp_response

try:
    decode_timestamp_response(Path("answer").read_bytes())
    print("reads it")
except ValueError as error:
    print("refuses it:", re.search(r"kind: (\w+)", str(error))[1])
PY
authority short /CN=r
authority long "/O=an authority whose certificate has more bytes/CN=than that of its signer of time stamps"
{
    stamp "signer only" short ""
    stamp "signer, longer root" long "certs = long.pem"
    stamp "signer, shorter root" short "certs = short.pem"
} | tee seen
sed -n 's/^#   //p' "$OLDPWD/$0" | diff - seen
