"""The objects that simulated accounts trade: listings, funds and currencies, and the texts of their statements.

Data only.
"""

from typing import NamedTuple

HOUR_S = 3600


class Hours(NamedTuple):
    """The opening hours of a market, in seconds of the UTC day."""

    opens_s: int
    open_for_s: int


NEW_YORK = Hours(13 * HOUR_S + 1800, 6 * HOUR_S + 1800)
HONG_KONG = Hours(1 * HOUR_S + 1800, 6 * HOUR_S + 1800)
SHANGHAI = Hours(1 * HOUR_S + 1800, 5 * HOUR_S + 1800)
SINGAPORE = Hours(1 * HOUR_S, 8 * HOUR_S)


class Listing(NamedTuple):
    """A traded security. `price` is in units of 10 ** -places of the currency."""

    symbol: str
    name: str
    currency: str
    hours: Hours
    price: int
    places: int
    lot: int


LISTINGS = (
    Listing("AAPL.US", "AAPL", "USD", NEW_YORK, 18_235, 2, 5),
    Listing("MSFT.US", "MSFT", "USD", NEW_YORK, 41_050, 2, 2),
    Listing("NVDA.US", "NVDA", "USD", NEW_YORK, 12_190, 2, 5),
    Listing("TSLA.US", "TSLA", "USD", NEW_YORK, 24_884, 2, 3),
    Listing("AMZN.US", "AMZN", "USD", NEW_YORK, 17_800, 2, 4),
    Listing("GOOGL.US", "GOOGL", "USD", NEW_YORK, 16_340, 2, 4),
    Listing("BABA.US", "BABA", "USD", NEW_YORK, 8_575, 2, 10),
    Listing("BRK.B.US", "BRK.B", "USD", NEW_YORK, 45_310, 2, 1),
    Listing("KO.US", "KO", "USD", NEW_YORK, 6_242, 2, 10),
    Listing("SPY.US", "SPDR S&P 500 ETF Trust", "USD", NEW_YORK, 548_1200, 4, 1),
    Listing("SIRI.US", "SIRI", "USD", NEW_YORK, 3_8450, 4, 100),
    Listing("700.HK", "騰訊控股", "HKD", HONG_KONG, 385_200, 3, 100),
    Listing("9988.HK", "阿里巴巴-W", "HKD", HONG_KONG, 82_450, 3, 100),
    Listing("5.HK", "滙豐控股", "HKD", HONG_KONG, 66_900, 3, 400),
    Listing("1299.HK", "友邦保險", "HKD", HONG_KONG, 57_150, 3, 200),
    Listing("3690.HK", "美團-W", "HKD", HONG_KONG, 121_300, 3, 100),
    Listing("2800.HK", "盈富基金", "HKD", HONG_KONG, 18_230, 3, 500),
    Listing("8083.HK", "中國有贊", "HKD", HONG_KONG, 123, 3, 8_000),
    Listing("600519.SH", "贵州茅台", "CNH", SHANGHAI, 1_468_03, 2, 100),
    Listing("000858.SZ", "五粮液", "CNH", SHANGHAI, 128_40, 2, 100),
    Listing("300750.SZ", "宁德时代", "CNH", SHANGHAI, 184_99, 2, 100),
    Listing("D05.SI", "DBS", "SGD", SINGAPORE, 36_270, 3, 100),
)


class Fund(NamedTuple):
    """A fund."""

    symbol: str
    name: str
    currency: str


FUNDS = (
    Fund("HK0000584745", "Taikang Kaitai HKD Money Market", "HKD"),
    Fund("HK0000857505", "高騰微金美元貨幣基金", "USD"),
    Fund("LU0069970746", "Fidelity China Focus “A”", "USD"),
)

SYMBOLS = frozenset(listing.symbol for listing in LISTINGS) | frozenset(fund.symbol for fund in FUNDS)

SWEEP_FUNDS = {"HKD": FUNDS[0], "USD": FUNDS[1]}
"""The money-market fund that idle cash is swept into, by currency."""

CURRENCIES = ("USD", "CNH", "HKD", "SGD")
"""A span with few rows moves only the first currencies, so the currencies of incoming transfers come first."""

PER_USD = {"USD": 10_000, "HKD": 78_012, "CNH": 72_455, "SGD": 13_406}
"""The rate of one US dollar, in units of 0.0001."""

DEPOSIT_NOTES = ("", "FPS", "eDDA 快捷入金", 'CHATS, ref "HSBC 004"', "Wire transfer\\SWIFT", "")
WITHDRAWAL_NOTES = ("", "To bank account ending 1234", "提取至 中銀香港", "")
INTEREST_NOTES = ("", "Cash balance interest", "融資利息 / margin interest")
SWEEP_NOTE = "Auto sweep / 自動轉撥"
WAIVED_NOTE = "Platform Fee waived"
FEE_NOTES = ("Platform Fee", "", "平台費 / 單")
OWN_LABELS = ("股票收益計劃", "Stock Yield Enhancement Program", "IPO 申購退款 / 未中籤")
"""Labels of rows without a kind. A provider has each of them in one language only."""
