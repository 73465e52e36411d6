#!/usr/bin/env bash
# msgspec 0.22.0: with strict=False, a whole number that has a point or an exponent reaches an int field through a
# double, so that an integer above 2^53 changes without an error.
#
# Guessed: strict=False, the mode for services that write numbers as text, reads integers exactly or refuses them, as it
# refuses 1.5 ("Expected `int`, got `float`").
# Seen: 9007199254740993.0, 9007199254740993e0 and the text "9007199254740993.0" all become 9007199254740992. Without a
# point, a number of 30 digits is exact, also as text; with a point, it is refused. So amounts in minor units, and ids, are
# safe in this mode only as plain digits.
#
# Output:
#   9007199254740993 -> 9007199254740993
#   "9007199254740993" -> 9007199254740993
#   9007199254740993.0 -> 9007199254740992
#   9007199254740993e0 -> 9007199254740992
#   "9007199254740993.0" -> 9007199254740992
#   "123456789012345678901234567890" -> 123456789012345678901234567890
#   123456789012345678901234567890.0 -> refused
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check msgspec==0.22.0
cat > "$folder/run.py" <<'PY'
import msgspec

decoder = msgspec.json.Decoder(int, strict=False)
for text in (
    "9007199254740993",
    '"9007199254740993"',
    "9007199254740993.0",
    "9007199254740993e0",
    '"9007199254740993.0"',
    '"123456789012345678901234567890"',
    "123456789012345678901234567890.0",
):
    try:
        print(text, "->", decoder.decode(text))
    except msgspec.ValidationError:
        print(text, "-> refused")
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
