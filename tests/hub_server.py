"""A tiny server on the loopback that speaks as much of the Hugging Face hub's protocol as downloads need.

`snapshot_download` lists a pinned commit's files (`/api/<kind>s/<repository>/tree/<commit>`), asks for each file's ETag
and commit (`HEAD /<repository>/resolve/<commit>/<file>`), and gets it. Data sets lie below `/datasets/`.
"""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

API = re.compile(r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
FILE = re.compile(r"/(?P<datasets>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


@dataclass(frozen=True)
class Repository:
    """One commit of a repository: its files by path. The files of a gated one are refused to those without a token."""

    commit: str
    files: dict[str, bytes]
    gated: bool = False


@dataclass
class Hub:
    """The repositories by ("model" or "dataset", "owner/name"), and every request that came, as "METHOD path".

    Where `page` is set, every answer is that page, as from a network that wants a login first.
    """

    repositories: dict[tuple[str, str], Repository]
    page: bytes | None = None
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""

    @contextlib.contextmanager
    def serve(self) -> Iterator["Hub"]:
        """Serve on a free port of the loopback; `endpoint` is the address, also after the server is gone."""

        class Handler(_Handler):
            hub = self

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.endpoint = f"http://127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
            thread.start()
            try:
                yield self
            finally:
                server.shutdown()
                thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, *_: object) -> None:
        """Nothing: `Hub.requests` holds the log."""

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.page is not None:
            return self._send(200, self.hub.page, {"Content-Type": "text/html"})
        if match := API.fullmatch(path):
            key = match["kind"], match["name"]
        elif match := FILE.fullmatch(path):
            key = "dataset" if match["datasets"] else "model", match["name"]
        else:
            return self._send(404, b"", {})
        repository = self.hub.repositories.get(key)
        if repository is None:  # the hub answers so, lest it tell which private repositories there are
            return self._refuse(401, "RepoNotFound", "Repository not found")
        if match["revision"] != repository.commit:
            return self._refuse(404, "RevisionNotFound", f"Invalid rev id: {match['revision']}")
        if match.re is API:
            listed = [
                {"type": "file", "path": path, "size": len(content), "oid": _object_id(content)}
                for path, content in repository.files.items()
            ]
            return self._send(200, json.dumps(listed).encode(), {"Content-Type": "application/json"})
        if repository.gated and "Authorization" not in self.headers:
            return self._refuse(401, "GatedRepo", f"Access to {key[0]} {key[1]} is restricted")
        content = repository.files.get(match["file"])
        if content is None:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        headers = {"ETag": f'"{_object_id(content)}"', "X-Repo-Commit": repository.commit}
        return self._send(200, content, headers)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _object_id(content: bytes) -> str:
    """Git's name of a file's content, which the hub uses as its ETag."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
