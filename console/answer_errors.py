"""The one shape of an error: `{"error": {"code", "message", "field"}}`. A browser that asks for a page gets it as a page."""

import logging
from collections.abc import Mapping
from urllib.parse import urlencode

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from console.protect_responses import HEADERS
from console.render_page import render
from contracts.errors import Unavailable
from runtime.open_store import STORE

_log = logging.getLogger("mailscope.console")
_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
          408: "timeout", 410: "gone", 413: "too_large", 422: "invalid", 429: "too_many_requests"}  # fmt: skip

_TITLES = {
    403: "Not allowed",
    404: "Not found",
    410: "Not kept any more",
    413: "Too large",
    422: "That is not understood",
    429: "Too many tries",
    500: "Something broke",
    503: "The log is away for a moment",
}


class ErrorDetail(BaseModel):
    code: str = Field(description="One word, for programs.")
    message: str = Field(description="One sentence, for people.")
    field: str | None = Field(description="The parameter or field that is wrong; null where it is none.")


class ErrorBody(BaseModel):
    """The one shape, as OpenAPI tells it."""

    error: ErrorDetail


class Problem(Exception):
    """An error to answer with."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str = "",
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or _CODES.get(status, "error")
        self.message = message
        self.field = field
        self.headers = dict(headers or {})


def answer(request: Request, status: int, code: str, message: str, field: str | None = None) -> Response:
    """The error as a response."""
    if wants_page(request):
        if status == 401:
            target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?{urlencode({'next': target})}" if target != "/" else "/login", 303)
        title = _TITLES.get(status, "That did not work")
        response: Response = render(request, "error.html", status, code=status, title=title, message=_sentence(message))
    else:
        body = {"error": {"code": code, "message": message, "field": field}}
        response = JSONResponse(body, status, {"WWW-Authenticate": "Bearer"} if status == 401 else None)
    response.headers.update(HEADERS)  # a bug is answered outside of the middleware
    return response


def wants_page(request: Request) -> bool:
    """Whether a person looks at the answer: a browser, outside of the API."""
    return "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")


def _sentence(message: str) -> str:
    return (message[:1].upper() + message[1:]).rstrip(".")


def answer_errors(app: FastAPI) -> None:
    """Give every error of the app that shape."""

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        response = answer(request, error.status, error.code, error.message, error.field)
        response.headers.update(error.headers)
        return response

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        told = answer(request, error.status_code, _CODES.get(error.status_code, "error"), str(error.detail))
        told.headers.update(error.headers or {})  # Allow, for one (RFC 9110 section 15.5.6)
        return told

    @app.exception_handler(RequestValidationError)
    async def validation(request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        if first["type"] == "json_invalid":  # it has no fields
            why = first.get("ctx", {}).get("error", first["msg"])
            return answer(request, 422, "invalid", f"the body is no JSON: {why} at character {first['loc'][-1]}")
        place = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
        return answer(request, 422, "invalid", str(first["msg"]), ".".join(place) or None)

    @app.exception_handler(Unavailable)
    async def unavailable(request: Request, error: Unavailable) -> Response:
        code = "store_unavailable" if error.what == STORE else "unavailable"
        return answer(request, 503, code, str(error))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> Response:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer(request, 500, "internal_error", "this is a bug of Mailscope; its log has the details")
