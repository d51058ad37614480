"""The page /docs comes from the API alone: everything it loads is there, and a browser may contact no other host."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from support.api import Api

from app.paths import DOCS_FILES

pytestmark = pytest.mark.anyio


class _Addresses(HTMLParser):
    """Collects every address on a page, in an attribute or in its own script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        addresses = {value for name, value in attrs if name in {"src", "href"} and value}
        self.found |= addresses
        if tag in {"script", "link", "img"}:
            self.loaded |= addresses

    def handle_data(self, data: str) -> None:
        self.found |= {*re.findall(r"https?://[^\s'\"]+", data), *re.findall(r"url: '([^']+)'", data)}


async def test_the_page_names_no_other_host(api: Api) -> None:
    async with api.client(key=None) as client:
        answer = await client.get("/docs")
    addresses = _Addresses(answer.text)
    assert {urlsplit(address).netloc for address in addresses.found} == {""}
    assert addresses.loaded == set(DOCS_FILES)
    assert "http:" not in answer.text
    assert "https:" not in answer.text
    sources = re.findall(r"-src ([^;]+)", answer.headers["content-security-policy"])
    assert {word for source in sources for word in source.split()} == {"'self'", "'unsafe-inline'", "data:"}


async def test_an_address_of_another_host_would_be_detected() -> None:
    page = "<img src='//a.example.com/a.png'><script>const ui = {url: '/x'}; fetch('https://b.example.com/y')</script>"
    assert _Addresses(page).found == {"//a.example.com/a.png", "/x", "https://b.example.com/y"}


@pytest.mark.parametrize(
    ("path", "media", "begin"),
    list(
        zip(
            DOCS_FILES,
            ("javascript", "text/css", "image/png"),
            (b"/*! For license information", b".swagger-ui", b"\x89PNG"),
            strict=True,
        )
    ),
)
async def test_each_file_is_there_without_a_key(api: Api, path: str, media: str, begin: bytes) -> None:
    async with api.client(key=None) as client:
        answer = await client.get(path)
        assert answer.status_code == 200
        assert media in answer.headers["content-type"]
        assert answer.content.startswith(begin)
        assert int(answer.headers["content-length"]) == len(answer.content)
        again = await client.get(path, headers={"if-none-match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


async def test_no_other_file_of_the_folder_is_served(api: Api) -> None:
    async with api.client() as client:
        for path in ("/docs/redoc.standalone.js", "/docs/../core.py", "/docs/%2e%2e/core.py", "/docs/"):
            assert (await client.get(path)).status_code == 404


async def test_the_files_are_counted_as_the_page(api: Api) -> None:
    async with api.client() as client:
        for path in ("/docs", *DOCS_FILES):
            await client.get(path)
    assert api.sample("churn_http_requests_total", route="/docs", method="GET", status="200") == 1 + len(DOCS_FILES)
