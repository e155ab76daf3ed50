"""The one shape of an error: `{"error": {"code", "message", "field"}}`."""

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from contracts.errors import Unavailable

_log = logging.getLogger("mailscope.console")
_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed",
          410: "gone", 413: "too_large", 422: "invalid", 429: "too_many_requests"}  # fmt: skip


class Problem(Exception):
    """An error to answer with."""

    def __init__(self, status: int, message: str, *, code: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or _CODES.get(status, "error")
        self.message = message
        self.field = field


def answer(status: int, code: str, message: str, field: str | None = None) -> JSONResponse:
    """The error as a response."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse({"error": {"code": code, "message": message, "field": field}}, status, headers)


def answer_errors(app: FastAPI) -> None:
    """Give every error of the app that shape."""

    @app.exception_handler(Problem)
    async def problem(_request: Request, error: Problem) -> JSONResponse:
        return answer(error.status, error.code, error.message, error.field)

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> JSONResponse:
        return answer(error.status_code, _CODES.get(error.status_code, "error"), str(error.detail))

    @app.exception_handler(RequestValidationError)
    async def validation(_request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = [str(part) for part in first["loc"] if part not in ("body", "query", "path", "header")]
        return answer(422, "invalid", str(first["msg"]), ".".join(place) or None)

    @app.exception_handler(Unavailable)
    async def unavailable(_request: Request, error: Unavailable) -> JSONResponse:
        return answer(503, "store_unavailable", str(error))

    @app.exception_handler(Exception)
    async def bug(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return answer(500, "internal_error", "this is a bug of Mailscope; its log has the details")
