"""All that is served of the two lists of addresses: the API of suppressions and preferences, and the pages that need them."""

from fastapi import APIRouter

from console import serve_suppression_pages, serve_suppressions
from console.admit_requests import LargeBody
from console.audit import Audit
from console.change_suppressions import SuppressionDesk
from console.count_stopped import StoppedMails
from console.query_store import StoreQueries
from console.search_mails import Search
from console.serve_notifications import notifications_router
from console.serve_preferences import preferences_router
from console.serve_suppression_pages import suppression_pages_router
from console.serve_suppressions import suppressions_router
from contracts.settings import Settings
from runtime.publish import Publisher
from runtime.shared_list import Preferences, Suppressions

LARGE_BODIES = {
    serve_suppressions.IMPORT: LargeBody(serve_suppressions.LARGEST_IMPORT, "manage"),
    serve_suppression_pages.IMPORT: LargeBody(serve_suppression_pages.LARGEST_IMPORT, "manage"),
}


def list_routers(
    settings: Settings,
    queries: StoreQueries,
    suppressions: Suppressions,
    preferences: Preferences,
    publisher: Publisher,
    audit: Audit,
) -> list[APIRouter]:
    """The routers."""
    desk, stopped = SuppressionDesk(suppressions, publisher), StoppedMails(queries, settings.store.retention)
    return [
        suppressions_router(desk, stopped, audit),
        preferences_router(preferences, publisher, audit),
        suppression_pages_router(desk, stopped, settings, audit),
        notifications_router(Search(queries, settings), suppressions),
    ]
