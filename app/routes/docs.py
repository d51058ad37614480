"""``/docs``: Swagger UI for the description of the API, served by this process alone.

Its script, style and icon are files of the package ``fastapi-offline``, sent from the disk. The package's code is not
imported: it would build another application.
"""

from __future__ import annotations

from typing import Final

from fastapi.openapi.docs import get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from app.paths import DOCS_FILES

_SCRIPT, _STYLE, _ICON = DOCS_FILES

_NO_OTHER_HOST: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)
"""What a browser may load and contact. The page starts its script inline; the script adds inline styles and images."""


def routes(title: str, openapi_url: str) -> list[Route]:
    """The page and its files; ``openapi_url`` is the description that it shows."""
    files = StaticFiles(packages=[("fastapi_offline", "static")])

    async def page(_: Request) -> Response:
        answer = get_swagger_ui_html(
            openapi_url=openapi_url,
            title=title,
            swagger_js_url=_SCRIPT,
            swagger_css_url=_STYLE,
            swagger_favicon_url=_ICON,
        )
        answer.headers["content-security-policy"] = _NO_OTHER_HOST
        return answer

    async def file(request: Request) -> Response:
        return await files.get_response(request.url.path.rpartition("/")[2], request.scope)

    return [Route("/docs", page), *(Route(path, file) for path in DOCS_FILES)]
