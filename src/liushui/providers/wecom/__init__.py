"""WeCom 企业微信, fund flow of its external payments 对外收款 (POST /cgi-bin/externalpay/get_fund_flow)."""

from base64 import urlsafe_b64encode
from collections.abc import Callable

from liushui.flow import Flow
from liushui.http import JSON_HEADERS, Response
from liushui.provider import CredentialField, Provider, Restriction, Role
from liushui.providers.wecom import codec
from liushui.providers.wecom.client import WecomClient
from liushui.providers.wecom.rules import NAME, RULES
from liushui.providers.wecom.server import OPERATORS, PERMISSION, WecomServer

SNIPPET = """\
import json
import time
from urllib.request import urlopen

api, now = "{base_url}/cgi-bin", int(time.time())
with urlopen(api + "/gettoken?corpid={corpid}&corpsecret={corpsecret}") as answer:
    token = json.load(answer)["access_token"]
body = dict(begin_time=now - 31 * 86400, end_time=now, limit=5)
with urlopen(api + "/externalpay/get_fund_flow?access_token=" + token, json.dumps(body).encode()) as answer:
    for flow in json.load(answer)["fund_flow_list"]:
        print(flow)
"""


def new_credentials(random_bytes: Callable[[int], bytes]) -> dict[str, str]:
    """Return credentials in the service's format: an id of `ww` and 16 hex digits, and a secret of 43 characters."""
    return {
        "corpid": f"ww{random_bytes(8).hex()}",
        "corpsecret": urlsafe_b64encode(random_bytes(32)).rstrip(b"=").decode(),
    }


STAFF = ("ZhangSan", "LiSi", "WangWu", "zhao.liu", "SunQi")
GROUP_NAMES = ("门店一组", "门店二组", "线上", "VIP 客户")


def with_operator(flow: Flow, below: Callable[[int], int]) -> Flow:
    """Add an operator and rule groups to a simulated flow. Most flows get both."""
    detail: dict[str, object] = {}
    if below(8):
        detail[codec.OPERATOR] = STAFF[below(len(STAFF))]
    if below(4):
        detail[codec.GROUPS] = [GROUP_NAMES[below(len(GROUP_NAMES))] for _ in range(below(3))]
    return flow._replace(detail=detail) if detail else flow


PROVIDER = Provider(
    name=NAME,
    title="WeCom external payments",
    rules=RULES,
    codec=codec,
    server=WecomServer(),
    credentials=(
        CredentialField("corpid", "Corp ID", secret=False),
        CredentialField("corpsecret", "Secret", secret=True),
    ),
    base_url="https://qyapi.weixin.qq.com",
    connect=WecomClient,
    new_credentials=new_credentials,
    key_name=lambda credentials: credentials["corpid"],
    snippet=SNIPPET,
    auth="an access token, valid for two hours, issued for the corp id and secret",
    outage_responses=(Response(200, JSON_HEADERS, b'{"errcode":-1,"errmsg":"system busy"}'),),
    tested_with="`wechatpy` 1.8.18, `wechatpy` 2.0.0a26",
    role=Role.SHOP,
    is_main=True,
    simulate_detail=with_operator,
    restrictions=(
        Restriction(
            OPERATORS, "comma-separated user ids; the key sees only rows of these operators and rows without one"
        ),
        Restriction(PERMISSION, "none means that the key may not call this API"),
    ),
)
