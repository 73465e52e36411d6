"""WeChat Pay 微信支付, fund flow bills of a merchant 资金账单 (GET /v3/bill/fundflowbill)."""

from collections.abc import Callable
from typing import Final

from liushui.flow import Flow
from liushui.http import JSON_HEADERS, Response
from liushui.provider import CredentialField, CredentialForm, Provider, Role
from liushui.providers.wechatpay import codec
from liushui.providers.wechatpay.client import WechatpayClient
from liushui.providers.wechatpay.rules import NAME, RULES
from liushui.providers.wechatpay.server import MERCHANT_KEY, PLATFORM_KEY, WechatpayServer
from liushui.wire.rsa import KeyPair, new_key_pair, simulated_key_pair

SNIPPET = """\
import json
from wechatpayv3 import WeChatPay, WeChatPayType  # pip install wechatpayv3==2.0.4

api = WeChatPay(
    wechatpay_type=WeChatPayType.NATIVE,
    mchid="{mchid}",
    appid="wx1",
    private_key=\"\"\"{private_key}\"\"\",
    cert_serial_no="{serial_no}",
    apiv3_key="k" * 32,
    public_key=\"\"\"{platform_public_key}\"\"\",
    public_key_id="{platform_key_id}",
)
api._core._gate_way = "{base_url}"
status, answer = api.fundflow_bill("2026-11-01")
print(answer)
if status == 200:
    print(api.download_bill(json.loads(answer)["download_url"])[1].decode())
"""

SERIAL_BYTES: Final = 20
KEY_ID_DIGITS: Final = 24


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return a merchant's number, a certificate's serial number, and the keys of merchant and platform."""
    return _credentials(random_bytes, new_key_pair(), new_key_pair())


def simulated_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """As `new_credentials`, with keys that anybody can compute."""
    return _credentials(random_bytes, simulated_key_pair(random_bytes), simulated_key_pair(random_bytes))


def _credentials(random_bytes: Callable[[int], bytes], merchant: KeyPair, platform: KeyPair) -> dict[str, str]:
    return {
        "mchid": f"16{int.from_bytes(random_bytes(8)) % 10**8:08}",
        "serial_no": random_bytes(SERIAL_BYTES).hex().upper(),
        "private_key": merchant.private,
        "platform_public_key": platform.public,
        "platform_key_id": f"PUB_KEY_ID_{int.from_bytes(random_bytes(16)) % 10**KEY_ID_DIGITS:0{KEY_ID_DIGITS}}",
        MERCHANT_KEY: merchant.public,
        PLATFORM_KEY: platform.private,
    }


def with_document_columns(flow: Flow, below: Callable[[int], int]) -> Flow:
    """Add the columns of a bill that simulated flows lack: the requester, the shop's own order number as the voucher,
    and WeChat Pay's number of that order."""
    del below  # all of it follows from the flow
    detail: dict[str, object] = {codec.APPLICANT: "system"}
    if not flow.order_ref:
        return flow._replace(detail=detail)
    return flow._replace(detail={**detail, codec.VOUCHER: flow.order_ref}, order_ref=f"4200{flow.order_ref}")


PROVIDER = Provider(
    name=NAME,
    title="WeChat Pay fund flow bill",
    rules=RULES,
    codec=codec,
    server=WechatpayServer(),
    credentials=(
        CredentialField("mchid", "Merchant number (mchid)", secret=False),
        CredentialField("serial_no", "Serial number of the merchant's API certificate", secret=False),
        CredentialField("private_key", "Merchant's private key", secret=True, form=CredentialForm.PRIVATE_KEY),
        CredentialField("platform_public_key", "WeChat Pay's public key", secret=False, form=CredentialForm.PUBLIC_KEY),
        CredentialField("platform_key_id", "ID of WeChat Pay's public key", secret=False),
    ),
    base_url="https://api.mch.weixin.qq.com",
    connect=WechatpayClient,
    new_credentials=new_credentials,
    simulated_credentials=simulated_credentials,
    key_name=lambda credentials: credentials["mchid"],
    snippet=SNIPPET,
    auth="RSA-SHA256 over method, target, time, nonce and body; answers are signed by a platform key",
    outage_responses=(
        Response(500, JSON_HEADERS, '{"code":"SYSTEM_ERROR","message":"系统异常，请稍后重试"}'.encode()),
    ),
    tested_with="`wechatpayv3` 2.0.4 (Python), `wechatpay-axios-plugin` 0.9.6 (npm)",
    role=Role.SHOP,
    simulate_detail=with_document_columns,
    subaccounts=("", "OPERATION"),
)
