"""Alipay 支付宝, account log of a merchant 账务明细 (alipay.data.bill.accountlog.query)."""

from collections.abc import Callable
from typing import Final

from liushui.flow import Flow, Kind
from liushui.http import Response
from liushui.provider import CredentialField, CredentialForm, Provider, Role
from liushui.providers.alipay import codec
from liushui.providers.alipay.client import AlipayClient
from liushui.providers.alipay.rules import NAME, RULES
from liushui.providers.alipay.server import ANSWER_HEADERS, AlipayServer
from liushui.wire.rsa import KeyPair, new_key_pair, simulated_key_pair

SNIPPET = '''\
from datetime import datetime, timedelta
from alipay import AliPay  # pip install python-alipay-sdk==3.4.0

api = AliPay(
    appid="{app_id}",
    app_notify_url=None,
    app_private_key_string="""{app_private_key}""",
    alipay_public_key_string="""{alipay_public_key}""",
)
api._gateway = "{base_url}/gateway.do"
now = datetime.now()
times = dict(start_time=f"{{now - timedelta(days=30):%Y-%m-%d %H:%M:%S}}", end_time=f"{{now:%Y-%m-%d %H:%M:%S}}")
for row in api.server_api("alipay.data.bill.accountlog.query", biz_content=times).get("detail_list", []):
    print(row)
'''

APP_DIGITS: Final = 12
"""The number of digits after `2021` in the id of an app."""


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return an app's id, a key pair of the app, and a key pair of the platform for this app alone."""
    return _credentials(random_bytes, new_key_pair(), new_key_pair())


def simulated_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """As `new_credentials`, with keys that anybody can compute."""
    return _credentials(random_bytes, simulated_key_pair(random_bytes), simulated_key_pair(random_bytes))


def _credentials(random_bytes: Callable[[int], bytes], app: KeyPair, platform: KeyPair) -> dict[str, str]:
    number = int.from_bytes(random_bytes(8)) % 10**APP_DIGITS
    return {
        "app_id": f"2021{number:0{APP_DIGITS}}",
        "app_private_key": app.private,
        "alipay_public_key": platform.public,
        "app_public_key": app.public,
        "alipay_private_key": platform.private,
    }


BUYERS: Final = ("王*(w*@example.com)", "*明(138****0000)", "李*(li***@example.cn)", "*婷(159****1234)")
STORES: Final = ("总店", "滨江店 {2}", "线上")


def with_buyer(flow: Flow, below: Callable[[int], int]) -> Flow:
    """Add a masked buyer to simulated receipts and refunds, and the shop to some."""
    if flow.kind not in (Kind.RECEIPT, Kind.REFUND):
        return flow
    flow = flow._replace(name=BUYERS[below(len(BUYERS))])
    return flow if below(3) else flow._replace(detail={codec.KEYS["store_name"]: STORES[below(len(STORES))]})


PROVIDER = Provider(
    name=NAME,
    title="Alipay account log",
    rules=RULES,
    codec=codec,
    server=AlipayServer(),
    credentials=(
        CredentialField("app_id", "App ID", secret=False),
        CredentialField("app_private_key", "App private key", secret=True, form=CredentialForm.PRIVATE_KEY),
        CredentialField("alipay_public_key", "Alipay public key", secret=False, form=CredentialForm.PUBLIC_KEY),
    ),
    base_url="https://openapi.alipay.com",
    connect=AlipayClient,
    new_credentials=new_credentials,
    simulated_credentials=simulated_credentials,
    key_name=lambda credentials: credentials["app_id"],
    snippet=SNIPPET,
    auth="RSA-SHA256 over all parameters (RSA2); answers are signed too",
    outage_responses=(
        Response(
            200,
            ANSWER_HEADERS,
            b'{"alipay_data_bill_accountlog_query_response":{"code":"20000","msg":"Service Currently Unavailable",'
            b'"sub_code":"isp.unknow-error","sub_msg":"\xe7\xb3\xbb\xe7\xbb\x9f\xe7\xb9\x81\xe5\xbf\x99"}}',
        ),
    ),
    tested_with="`python-alipay-sdk` 3.4.0, `alipay-sdk-python` 3.7.1411, `alipay-sdk` 4.14.0 (npm)",
    role=Role.SHOP,
    simulate_detail=with_buyer,
)
