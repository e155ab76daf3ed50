"""Asking the API from the command line: where it is, the token, and errors as one sentence."""

import json
import os
import time
from typing import Any, NoReturn

import click
import httpx

from contracts.errors import ConfigurationError
from contracts.setting_types import parse_duration
from contracts.settings import Settings
from local.point_here import running_here
from runtime.load_settings import load_settings


def settings_or_leave() -> Settings:
    """The settings of this folder; ends the command with a sentence when they cannot be used."""
    try:
        return load_settings({**os.environ, **running_here(os.environ)})
    except ConfigurationError as error:
        leave(str(error), 78)


def ask_api(method: str, path: str, **options: Any) -> Any:
    """The JSON answer of the API, as `ask_api_text`."""
    return json.loads(ask_api_text(method, path, **options))


def ask_api_text(method: str, path: str, **options: Any) -> str:
    """The answer of the API; ends the command with one sentence when it is an error. The token comes from MAILSCOPE_TOKEN, else from
    `admin-token` in the data folder."""
    settings = settings_or_leave()
    base = settings.console.base_url
    headers = {"Authorization": f"Bearer {_token(settings)}", **options.pop("headers", {})}
    try:
        response = httpx.request(
            method, f"{base}/api/v1{path}", headers=headers, timeout=60, trust_env=False, **options
        )
    except httpx.HTTPError as error:
        leave(f"{base} does not answer ({error}): is Mailscope running? `mailscope doctor` tells more", 69)
    if response.is_error:
        try:
            leave(str(response.json()["error"]["message"]), 1)
        except (ValueError, KeyError, TypeError):
            leave(f"{base} answered {response.status_code}", 1)
    return response.text


def api_client(settings: Settings) -> tuple[httpx.Client, str]:
    """A client that carries the token, for who asks often, and the address to put before `/api/v1`."""
    headers = {"Authorization": f"Bearer {_token(settings)}"}
    return httpx.Client(headers=headers, timeout=60, trust_env=False), settings.console.base_url


def since_or_leave(since: str) -> float:
    """The time that `--since` names, such as 2h ago, in seconds since 1970 UTC; ends the command where it is none."""
    try:
        return time.time() - parse_duration(since).total_seconds()
    except ValueError as error:
        leave(f"--since: {error}", 2)


def leave(message: str, code: int) -> NoReturn:
    """End the command."""
    click.echo(f"mailscope: {message}", err=True)
    raise SystemExit(code)


def _token(settings: Settings) -> str:
    given = os.environ.get("MAILSCOPE_TOKEN")
    if given:
        return given
    path = settings.console.admin_token_file or settings.data_dir / "admin-token"
    try:
        return path.read_text().partition("\n")[0].strip()
    except OSError:
        leave(
            f"no token: set MAILSCOPE_TOKEN, or MAILSCOPE_DATA_DIR to the folder that holds admin-token ({path} is missing)",
            78,
        )
