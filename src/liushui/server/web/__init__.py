"""The pages, at /."""

from litestar import Router
from litestar.di import Provide

from liushui.server.web import error_pages, keys, preferences, providers, sources, static_files
from liushui.server.web.auth import login
from liushui.server.web.auth.guard import add_security_headers, guard_page
from liushui.server.web.flows import page as flows_page
from liushui.server.web.overview import page as overview_page
from liushui.server.web.page import WebContext, provide_page


def page_routes(web: WebContext) -> list[Router]:
    """The routes of the pages. Each asks for a login, unless its `opt` opens it."""
    return [
        Router(
            "/",
            route_handlers=[
                static_files.static_file,
                login.show_login,
                login.log_in,
                login.log_out,
                preferences.set_preferences,
                *overview_page.routes(web),
                *flows_page.routes(web),
                sources.list_sources,
                sources.new_source,
                sources.add_source,
                sources.test_new_source,
                sources.show_source,
                sources.show_progress,
                sources.test_source,
                sources.sync_source,
                sources.pause_source,
                sources.new_credentials,
                sources.replace_credentials,
                sources.remove_source,
                keys.list_keys,
                keys.new_key,
                keys.create_key,
                keys.revoke_key,
                keys.new_token,
                keys.create_token,
                keys.revoke_token,
                keys.end_sessions,
                providers.list_providers,
                providers.show_provider,
                error_pages.no_page,
            ],
            dependencies={"page": Provide(provide_page, sync_to_thread=False)},
            before_request=guard_page,
            after_request=add_security_headers,
            exception_handlers=error_pages.handlers(),
            include_in_schema=False,
            # A compressed page would tell by its length what secrets are on it (the BREACH attack).
            opt={"whole": True},
        )
    ]
