#!/usr/bin/env bash
# ofxtools 1.1.1 and ofxparse 0.21: they read the time zone [+5.30:IST] or [+5.50:IST] of one OFX file differently, and
# what ofxtools writes for India, ofxparse reads 12 minutes late.
#
# Guessed: both read `[+5.50:IST]` as five and a half hours, because the standard (OFX 1.6, 3.2.8.2) speaks of fractional
# offsets "+12.00 to -12.00". Both write and read [5.5] too.
# Seen: ofxtools takes the digits after the point for minutes: 5 h 50 min. It writes India's zone as [+5.30:IST], and
# refuses [+5.5:IST]. ofxparse takes them for decimals: [+5.30:IST] is 5 h 18 min. Without a name, as in [5.5], ofxparse
# ignores the zone, and its times are naive, so nothing shows that. Whole hours with a name are read alike. No zone of
# today is 18 or 50 minutes off the hour, so a reader can tell which of the two is meant.
#
# Output:
#   ofxtools writes 00:30 in India as 20260102003000.000[+5.30:IST]
#   [+5.30:IST]   ofxtools 19:00  ofxparse 19:12
#   [+5.50:IST]   ofxtools 18:40  ofxparse 19:00
#   [+5.5:IST]    ofxtools refuses  ofxparse 19:00
#   [+5.30]       ofxtools 19:00  ofxparse 00:30
#   [+8:HKT]      ofxtools 16:30  ofxparse 16:30
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ofxtools==1.1.1 ofxparse==0.21
cat > "$folder/run.py" <<'PY'
import datetime as dt
import io
import warnings

warnings.simplefilter("ignore")
from ofxparse import OfxParser
from ofxtools.Parser import OFXTree
from ofxtools.Types import DateTime

HEADER = "OFXHEADER:100 DATA:OFXSGML VERSION:102 SECURITY:NONE ENCODING:USASCII CHARSET:1252 COMPRESSION:NONE"
HEADER += " OLDFILEUID:NONE NEWFILEUID:NONE"


def statement(at):
    return (
        HEADER.replace(" ", "\n")
        + "\n\n<OFX><SIGNONMSGSRSV1><SONRS><STATUS><CODE>0<SEVERITY>INFO</STATUS><DTSERVER>20260102<LANGUAGE>ENG"
        "</SONRS></SIGNONMSGSRSV1><BANKMSGSRSV1><STMTTRNRS><TRNUID>1<STATUS><CODE>0<SEVERITY>INFO</STATUS><STMTRS>"
        "<CURDEF>USD<BANKACCTFROM><BANKID>1<ACCTID>2<ACCTTYPE>CHECKING</BANKACCTFROM><BANKTRANLIST><DTSTART>20260101"
        f"<DTEND>20260131<STMTTRN><TRNTYPE>CREDIT<DTPOSTED>{at}<TRNAMT>1.00<FITID>1<NAME>x</STMTTRN></BANKTRANLIST>"
        "<LEDGERBAL><BALAMT>1.00<DTASOF>20260131</LEDGERBAL></STMTRS></STMTTRNRS></BANKMSGSRSV1></OFX>"
    ).encode()


def by_ofxtools(document):
    tree = OFXTree()
    tree.parse(io.BytesIO(document))
    try:
        return f"{tree.convert().statements[0].transactions[0].dtposted:%H:%M}"
    except ValueError:
        return "refuses"


india = dt.timezone(dt.timedelta(hours=5, minutes=30), "IST")
written = DateTime().unconvert(dt.datetime(2026, 1, 2, 0, 30, tzinfo=india))
print("ofxtools writes 00:30 in India as", written)
for zone in ("[+5.30:IST]", "[+5.50:IST]", "[+5.5:IST]", "[+5.30]", "[+8:HKT]"):
    document = statement(f"20260102003000{zone}")
    posted = OfxParser.parse(io.BytesIO(document)).account.statement.transactions[0].date
    print(f"{zone:13} ofxtools {by_ofxtools(document)}  ofxparse {posted:%H:%M}")
PY
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"
sed -n 's/^#   //p' "$0" | diff - "$folder/seen"
