"""The console's web application: the API, the pages, health and metrics on one port."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import MappingProxyType

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.admit_requests import LargeBody, ReadBody, TokenFirst
from console.answer_errors import ErrorBody, answer_errors
from console.ask_provider import Provider
from console.audit import Audit, TokenUses, Writer
from console.authorise import demand
from console.bound_answers import BoundAnswers
from console.count_mails import MailCounts
from console.dead_letters import DeadLetters
from console.describe_api import describe_api
from console.mask_answers import MaskAnswers
from console.protect_responses import protect_responses
from console.query_store import StoreQueries, begin_deadline
from console.read_channels import ChannelReader
from console.read_mail import MailReader
from console.read_processing import ProcessingLog
from console.read_subscriptions import SubscriptionReader
from console.read_system import SystemReader
from console.reconcile import Reconciler
from console.redeliver import BlockList, Redeliveries
from console.render_page import STATIC
from console.search_mails import Search
from console.serve_activity import activity_router
from console.serve_api import api_router
from console.serve_audit import audit_router
from console.serve_channels import channels_router
from console.serve_dead_letters import dead_letters_router
from console.serve_incoming import incoming_router
from console.serve_login import login_router
from console.serve_message import message_router
from console.serve_oidc import oidc_routers
from console.serve_pages import pages_router
from console.serve_receipt import receipt_router
from console.serve_reconciliation import reconciliation_router
from console.serve_redeliver import redeliver_router
from console.serve_redeliver_page import redeliver_page_router
from console.serve_related import related_router
from console.serve_stats import stats_router
from console.serve_subscriptions import subscriptions_router
from console.serve_system import system_router
from console.serve_system_page import system_page_router
from console.serve_trends import trends_router
from console.sessions import Sessions
from console.slow_guesses import Guesses
from console.tokens import Tokens
from console.watch_store import StoreWatch
from contracts import metrics
from contracts.settings import Settings
from runtime.blobs import open_blobs
from runtime.expose_metrics import counter, histogram
from runtime.open_store import Store


def create_app(
    settings: Settings,
    store: Store,
    tokens: Tokens,
    sessions: Sessions,
    writer: Writer,
    block_list: BlockList,
    *,
    why_not_ready: Callable[[], str] = lambda: "",
    routers: Sequence[APIRouter] = (),
    large_bodies: Mapping[str, LargeBody] = MappingProxyType({}),
    middleware: Sequence[Middleware] = (),
) -> FastAPI:
    """The application. `writer` writes down what people do, and what they send again; `block_list` says to whom nothing is sent now.
    `routers` are those of other stages that share the port, `large_bodies` what they take, and `middleware` stands between the look at
    the token and the reading of the body. `app.state.why_not_ready` says whether all is well, without waiting;
    told True, whether all but the log store is."""
    queries = StoreQueries(store, settings.store.query_memory)
    watch = StoreWatch(store)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        watch.start()
        looking = [asyncio.create_task(one.watch()) for one in (system, reconciler)]
        yield
        for task in looking:
            task.cancel()
        watch.stop()
        queries.close()

    app = FastAPI(
        title="Mailscope",
        version="1",
        docs_url=None,
        openapi_url=None,  # it has a route of its own
        redoc_url=None,
        lifespan=lifespan,
        responses={"default": {"model": ErrorBody, "description": "Every error, whatever its status."}},
    )
    app.state.tokens = tokens
    app.state.settings = settings
    app.state.guesses = Guesses()
    app.state.provider = Provider(settings.console.oidc) if settings.console.oidc else None
    audit = Audit(writer)
    app.state.why_not_ready = lambda without_store=False: (
        why_not_ready() or ("" if without_store else watch.why_not_ready())
    )
    answer_errors(app)
    search, reader = Search(queries, settings), MailReader(queries, settings, open_blobs(settings))
    counts = MailCounts(queries, settings)
    app.include_router(api_router(search, reader, audit))
    app.include_router(stats_router(counts))
    app.include_router(audit_router(queries))
    letters = DeadLetters(queries, writer, audit)
    app.include_router(dead_letters_router(letters, audit))
    redeliveries = Redeliveries(search, reader, writer, block_list, audit, settings)
    app.include_router(redeliver_router(redeliveries))
    app.include_router(redeliver_page_router(redeliveries))
    channels = ChannelReader(queries, settings)
    processing = ProcessingLog(search, channels, settings)
    app.include_router(channels_router(channels, processing))
    reconciler = Reconciler(queries, search, settings)
    app.include_router(reconciliation_router(reconciler))
    subscriptions = SubscriptionReader(queries, settings)
    app.include_router(subscriptions_router(subscriptions))
    system = SystemReader(settings, search, channels, letters, reconciler, subscriptions)
    app.include_router(system_router(system))
    app.include_router(system_page_router(system, letters, subscriptions))
    for router in (
        *routers,
        activity_router(search, counts, reader, settings),
        trends_router(counts, queries, settings),
        pages_router(reader, settings, audit),
        incoming_router(channels, processing),
        message_router(reader, settings, audit),
        receipt_router(reader, settings, audit),
        related_router(search, reader),
        login_router(settings, sessions),
        *oidc_routers(settings, app.state.provider, sessions, audit),
    ):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_health(app, settings, app.state.why_not_ready)
    app.add_middleware(MaskAnswers, settings)
    app.add_middleware(ReadBody, large_bodies)
    for one in middleware:
        app.add_middleware(one.cls, *one.args, **one.kwargs)
    app.add_middleware(TokenFirst, large_bodies)
    app.add_middleware(BoundAnswers)
    app.add_middleware(Measure, TokenUses(audit))
    protect_responses(app)
    return app


def _add_health(app: FastAPI, settings: Settings, why_not_ready: Callable[[bool], str]) -> None:
    """Health as a route, for whoever asks on a connection that was used for something else (see `serve_http.py`), and metrics."""

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz(exclude: str = "") -> PlainTextResponse:
        reason = why_not_ready(exclude == "store")
        return PlainTextResponse((reason or "ok") + "\n", 503 if reason else 200)

    @app.get("/metrics", include_in_schema=False)
    async def prometheus(request: Request) -> Response:
        if not settings.console.open_metrics:
            demand(request, "read")
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi(request: Request) -> Response:
        if not settings.console.open_openapi:
            demand(request, "read")
        return JSONResponse(describe_api(app))


class Measure:
    """Counts requests and how long they took, gives each its time for queries, and has the use of its token written down. Plain ASGI, so
    that bodies and streams are passed on as they come."""

    def __init__(self, app: ASGIApp, uses: TokenUses) -> None:
        self._app = app
        self._uses = uses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.monotonic(), 500
        begin_deadline()

        async def measured(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, measured)
        finally:
            if (principal := scope.get("state", {}).get("used_by")) is not None:
                self._uses.note(HTTPConnection(scope), principal)
            route = getattr(scope.get("route"), "path", "unknown")
            counter(metrics.REQUESTS).labels(route, f"{status // 100}xx").inc()
            histogram(metrics.REQUEST_SECONDS).labels(route).observe(time.monotonic() - began)
