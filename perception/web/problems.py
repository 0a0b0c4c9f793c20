"""Errors of the API as RFC 9457 says: application/problem+json. Imports errors."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from perception.errors import ConfigError, SinkError


class Problem(HTTPException):
    """An answer that says what is wrong. detail: for the person who asks."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, dict(headers or {}))


def not_found(what: str) -> Problem:
    """Return 404. What a user may not see is not found either."""
    return Problem(404, f"{what}: there is none, or you may not see it")


def answer(status: int, detail: str, **more: Any) -> JSONResponse:
    """Return the problem document of a status."""
    title = HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **more}
    return JSONResponse(body, status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Let every error of the app be a problem document."""

    async def http(request: Request, error: Exception) -> JSONResponse:
        del request
        assert isinstance(error, HTTPException)
        made = answer(error.status_code, str(error.detail))
        made.headers.update(error.headers or {})
        return made

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        del request
        assert isinstance(error, RequestValidationError)
        found = [
            {"where": ".".join(str(part) for part in one["loc"]), "what": one["msg"]}
            for one in error.errors()
        ]
        return answer(422, "the request is not as the API describes it", errors=found)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        del request
        return answer(409, str(error))

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(ConfigError, refused)
    app.add_exception_handler(SinkError, refused)
