"""Our own site as one Litestar application: every route of the API under /api/v1, and of the pages."""

from http import HTTPStatus
from typing import Any

from litestar import Litestar, Response, Router
from litestar.config.compression import CompressionConfig
from litestar.datastructures import MutableScopeHeaders, ResponseHeader, State
from litestar.di import Provide
from litestar.plugins.problem_details import ProblemDetailsConfig, ProblemDetailsPlugin
from litestar.types import Message, Scope

from liushui.server.api import (
    ROOT,
    accounts,
    balances,
    credentials,
    exports,
    feed,
    findings,
    flows,
    links,
    metrics,
    notifications,
    openapi,
    periods,
    record,
    sources,
    stated_balances,
    views,
)
from liushui.server.api.context import APP_CONTEXT, PENDING_USES, RATE_HEADERS, authenticate, provide_context
from liushui.server.api.endpoint import BODY_MAX, ApiRequest, check_request, provide_params
from liushui.server.api.errors import HEADERS
from liushui.server.api.errors import handlers as api_errors
from liushui.server.audit import end_audit
from liushui.server.context import UNCOMPRESSED, AppContext
from liushui.server.security_headers import ERROR_HEADERS
from liushui.server.web import accounts as account_pages
from liushui.server.web import (
    balance_history,
    flow_downloads,
    guard,
    keys,
    login,
    oidc,
    providers,
    sample_data,
    static_files,
    users,
    welcome,
)
from liushui.server.web import flows as flow_pages
from liushui.server.web import imports as import_pages
from liushui.server.web import month_end as month_end_pages
from liushui.server.web import notifications as notification_pages
from liushui.server.web import overview as overview_pages
from liushui.server.web import reconcile as reconcile_pages
from liushui.server.web import review as review_pages
from liushui.server.web import sources as source_pages
from liushui.server.web import statements as statement_pages
from liushui.server.web import views as view_pages
from liushui.server.web.guard import add_security_headers, guard_page
from liushui.server.web.page import WEB_CONTEXT, make_web_context, provide_page


def make_site(app_context: AppContext) -> Litestar:
    """The application. Only its state knows the ledger."""
    return Litestar(
        route_handlers=[_api(), _document(), _pages()],
        openapi_config=openapi.openapi_config(ROOT),
        plugins=[
            openapi.ModelSchemas(),
            ProblemDetailsPlugin(ProblemDetailsConfig(enable_for_all_http_exceptions=True)),
        ],
        compression_config=CompressionConfig(backend="brotli", minimum_size=1_000, exclude_opt_key=UNCOMPRESSED),
        before_send=[_add_headers, end_audit],
        state=site_state(app_context),
        logging_config=None,
    )


def site_state(app_context: AppContext) -> State:
    """Return the state of an application, from which its handlers take their context."""
    web = make_web_context(app_context)
    return State({APP_CONTEXT: app_context, PENDING_USES: set(), WEB_CONTEXT: web, static_files.ASSETS: web.assets})


async def _add_headers(message: Message, scope: Scope) -> None:
    """Add the headers of every answer to a request, also to answers made outside of handlers."""
    if message["type"] == "http.response.start":
        headers = MutableScopeHeaders.from_message(message)
        for name, value in scope["state"].get(HEADERS, {}).items():
            headers[name] = value
        if message["status"] >= HTTPStatus.BAD_REQUEST:
            for name, value in ERROR_HEADERS.items():
                headers.setdefault(name, value)
            headers["cache-control"] = ERROR_HEADERS["cache-control"]


def _api() -> Router:
    return Router(
        ROOT,
        route_handlers=[
            openapi.about,
            flows.list_accounts,
            flows.show_account,
            flows.list_flows,
            flows.show_flow,
            exports.export,
            exports.export_with_map,
            balances.list_balances,
            balances.list_daily_balances,
            balances.show_summary,
            balances.list_fees,
            balances.show_coverage,
            balances.list_breaks,
            balances.list_heads,
            stated_balances.list_stated_balances,
            stated_balances.add_stated_balance,
            stated_balances.withdraw_stated_balance,
            record.create_account,
            accounts.rename_account,
            record.record_flows,
            feed.read_feed,
            feed.stream_events,
            metrics.show_metrics,
            sources.list_sources,
            sources.show_source,
            sources.pause_source,
            sources.request_sync,
            sources.show_sync_request,
            sources.list_runs,
            findings.count_findings,
            findings.list_findings,
            findings.show_finding,
            findings.explain,
            findings.withdraw,
            periods.show_reconciliation,
            periods.list_months,
            periods.list_closed_months,
            periods.list_changes,
            periods.close,
            periods.reopen,
            links.list_links,
            links.show_link,
            links.decide,
            flows.list_quarantined,
            credentials.list_keys,
            credentials.create_key,
            credentials.revoke_key,
            credentials.list_tokens,
            credentials.create_token,
            credentials.revoke_token,
            notifications.list_rules,
            notifications.add_rule,
            notifications.test_rule,
            notifications.remove_rule,
            views.list_views,
            views.show_view,
            views.save_view,
            views.remove_view,
        ],
        guards=[authenticate],
        before_request=check_request,
        dependencies={
            "context": Provide(provide_context, sync_to_thread=False),
            "params": Provide(provide_params, sync_to_thread=False),
        },
        request_class=ApiRequest,
        request_max_body_size=BODY_MAX,
        exception_handlers=api_errors(),
        after_request=_forbid_sniffing,
        response_headers=[
            ResponseHeader(name=name, value="", description=text, documentation_only=True)
            for name, text in RATE_HEADERS.items()
        ],
    )


def _document() -> Router:
    """The OpenAPI document, which anybody may read."""
    return Router(ROOT, route_handlers=[openapi.openapi_document], after_request=_forbid_sniffing)


def _forbid_sniffing(response: Response[Any]) -> Response[Any]:
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    return response


def _pages() -> Router:
    """The pages. Each requires a login, unless its handler's `opt` opens it."""
    return Router(
        "/",
        route_handlers=[
            static_files.static_file,
            login.show_login,
            login.log_in,
            login.log_out,
            login.set_preferences,
            oidc.begin_oidc_login,
            oidc.finish_oidc_login,
            oidc.log_out_at_provider,
            welcome.show_first_steps,
            welcome.set_first_password,
            sample_data.add_sample_data,
            sample_data.remove_sample_data,
            import_pages.list_all,
            import_pages.show_import,
            import_pages.undo,
            import_pages.new_import,
            import_pages.upload_file,
            import_pages.check_upload,
            import_pages.change_reading,
            import_pages.drop_upload,
            import_pages.import_upload,
            overview_pages.show_overview,
            overview_pages.load_periods,
            overview_pages.load_streams,
            overview_pages.load_fees,
            account_pages.show_account,
            account_pages.load_calendar,
            balance_history.load_balance_history,
            statement_pages.show_last_statement,
            statement_pages.show_statement,
            account_pages.rename_account,
            account_pages.add_stated_balance,
            account_pages.withdraw_stated_balance,
            reconcile_pages.show_months,
            reconcile_pages.load_last_month,
            reconcile_pages.show_month,
            month_end_pages.close_account_month,
            month_end_pages.reopen_account_month,
            month_end_pages.create_key,
            month_end_pages.download_certificate,
            month_end_pages.download_rows,
            month_end_pages.download_pack,
            flow_pages.show_flows,
            flow_pages.load_rows,
            flow_pages.load_totals,
            flow_pages.show_flows_to_print,
            flow_pages.load_flow,
            flow_pages.decide_link_of_flow,
            flow_pages.decide_finding_of_flow,
            review_pages.show_review,
            review_pages.decide_findings,
            flow_pages.download_row,
            flow_downloads.download_flows,
            flow_downloads.download_journal,
            flow_downloads.choose_download,
            flow_pages.show_quarantine,
            view_pages.show_views,
            view_pages.new_view,
            view_pages.save_view,
            view_pages.overwrite_view,
            view_pages.change_view,
            view_pages.choose_default,
            view_pages.remove_view,
            source_pages.list_sources,
            source_pages.new_source,
            source_pages.add_source,
            source_pages.test_new_source,
            source_pages.show_source,
            source_pages.show_progress,
            source_pages.test_source,
            source_pages.sync_source,
            source_pages.pause_source,
            source_pages.new_credentials,
            source_pages.replace_credentials,
            source_pages.remove_source,
            keys.list_keys,
            keys.new_key,
            keys.create_key,
            keys.revoke_key,
            keys.new_token,
            keys.create_token,
            keys.revoke_token,
            keys.end_sessions,
            notification_pages.show_rules,
            notification_pages.new_rule,
            notification_pages.add_rule,
            notification_pages.test_rule,
            notification_pages.remove_rule,
            users.show_users,
            users.new_user,
            users.edit_user,
            users.create_user,
            users.change_user,
            users.change_password,
            users.change_identity,
            users.delete_user,
            providers.list_providers,
            providers.show_provider,
            guard.no_page,
        ],
        dependencies={"page": Provide(provide_page, sync_to_thread=False)},
        before_request=guard_page,
        after_request=add_security_headers,
        exception_handlers=guard.error_handlers(),
        include_in_schema=False,
        # The length of a compressed page can reveal secrets in it (the BREACH attack).
        opt={UNCOMPRESSED: True},
    )
