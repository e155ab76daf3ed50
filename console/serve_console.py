"""The console's web application: the API, the pages, health and metrics on one port."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from console.answer_errors import ErrorBody, answer_errors
from console.protect_responses import protect_responses
from console.query_store import StoreQueries
from console.read_mail import MailReader
from console.render_page import STATIC
from console.search_mails import Search
from console.serve_api import api_router
from console.serve_login import login_router
from console.serve_message import message_router
from console.serve_pages import pages_router
from console.sessions import Sessions
from console.slow_guesses import Guesses
from console.tokens import Tokens
from contracts import metrics
from contracts.errors import Unavailable
from contracts.settings import Settings
from runtime.blobs import BlobStore
from runtime.expose_metrics import counter, histogram
from runtime.open_store import Store

DRAIN = (
    0.5  # seconds that requests have to end when the process stops; a client that does not read would hold it for ever
)


def create_app(
    settings: Settings,
    store: Store,
    tokens: Tokens,
    sessions: Sessions,
    *,
    why_not_ready: Callable[[], str] | None = None,
    routers: Sequence[APIRouter] = (),
) -> FastAPI:
    """The application. `routers` are those of other stages that share the port."""
    queries = StoreQueries(store)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        queries.close()

    app = FastAPI(
        title="Mailscope",
        version="1",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        responses={"default": {"model": ErrorBody, "description": "Every error, whatever its status."}},
    )
    app.state.tokens = tokens
    app.state.settings = settings
    app.state.guesses = Guesses()
    answer_errors(app)
    search, reader = Search(queries, settings), MailReader(queries, settings, BlobStore(settings.blobs_url))
    app.include_router(api_router(search, reader))
    for router in (
        *routers,
        pages_router(search, reader, settings),
        message_router(reader, settings),
        login_router(settings, sessions),
    ):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    _add_health(app, queries, why_not_ready)
    _count_requests(app)
    protect_responses(app)
    return app


def _add_health(app: FastAPI, queries: StoreQueries, why_not_ready: Callable[[], str] | None) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> PlainTextResponse:
        return PlainTextResponse("ok\n")

    @app.get("/readyz", include_in_schema=False)
    async def readyz() -> PlainTextResponse:
        reason = why_not_ready() if why_not_ready is not None else ""
        if not reason:
            try:
                await queries.rows("SELECT 1 FROM mails LIMIT 1")
            except Unavailable as error:
                reason = str(error)
        return PlainTextResponse((reason or "ok") + "\n", 503 if reason else 200)

    @app.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _count_requests(app: FastAPI) -> None:
    @app.middleware("http")
    async def count(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        began = time.monotonic()
        response = await call_next(request)
        route = getattr(request.scope.get("route"), "path", "unknown")
        counter(metrics.REQUESTS).labels(route, f"{response.status_code // 100}xx").inc()
        histogram(metrics.REQUEST_SECONDS).labels(route).observe(time.monotonic() - began)
        return response


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the process has its own way to stop


async def serve_console(app: FastAPI, settings: Settings, stop: asyncio.Event) -> None:
    """Serve until told to stop. OSError when the port is taken."""
    config = uvicorn.Config(
        app,
        host=settings.console.host,
        port=settings.console.port,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=DRAIN,  # type: ignore[arg-type]
        server_header=False,
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve([_listen(settings)]))
    waiting = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    waiting.cancel()
    await serving


def _listen(settings: Settings) -> socket.socket:
    """The listening socket. Left to uvicorn, a port that is taken would end the process from within a task."""
    host, port = settings.console.host, settings.console.port
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise OSError(f"the console cannot listen on {host}:{port} ({error.strerror}): set console.port") from error
    return listening
