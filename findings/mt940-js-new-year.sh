#!/usr/bin/env bash
# mt940-js 1.0.0 (npm): around New Year the entry date of a transaction is a year off, two equal transactions have one id,
# and the reversal of a credit looks like money that came in.
#
# Guessed: field 61 has the entry date as month and day only, so a reader takes the year that brings it next to the value
# date, as mt-940 for Python does: value date 251231 with entry date 0102 is 2 January 2026. `id` tells transactions
# apart. RC, a reversal of a credit, takes money out of the account.
# Seen: the entry date takes the year of the value date, whatever the months are. 251231 with 0102 is 2 January 2025, and
# 260102 with 1231 is 31 December 2026, eleven months in the future. `id` is a digest of what the transaction contains, so
# two coffees of one day have the same one, and a table keyed by it loses one. RC has isCredit true and a positive amount.
#
# Output:
#   value 2025-12-31, entry 0102: entry date 2025-01-02
#   value 2026-01-02, entry 1231: entry date 2026-12-31
#   two payments of 4.5: 1 id
#   RC: isCredit true, amount 10
set -euo pipefail
script=$(realpath "$0")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund mt940-js@1.0.0 tslib@2.8.1 >/dev/null 2>&1
cat > run.js <<'JS'
const mt940 = require("mt940-js");

const statement = `:20:X
:25:1234/5678
:28C:1/1
:60F:C251230EUR100,00
:61:2512310102D4,00NTRFNONREF
:61:2601021231D6,00NTRFNONREF
:61:2601030103D4,50NTRFNONREF
:86:coffee
:61:2601030103D4,50NTRFNONREF
:86:coffee
:61:2601030103RC10,00NTRFNONREF
:86:receipt reversed
:62F:C260103EUR71,00
`;
mt940.read(Buffer.from(statement)).then(([{ transactions: rows }]) => {
  console.log(`value ${rows[0].valueDate}, entry 0102: entry date ${rows[0].entryDate}`);
  console.log(`value ${rows[1].valueDate}, entry 1231: entry date ${rows[1].entryDate}`);
  console.log(`two payments of ${rows[2].amount}: ${new Set([rows[2].id, rows[3].id]).size} id`);
  console.log(`RC: isCredit ${rows[4].isCredit}, amount ${rows[4].amount}`);
});
JS
node run.js | tee seen
sed -n "s/^#   //p" "$script" | diff - seen
