"""A tiny server on the loopback that speaks as much of both hubs' protocols as downloads need.

Hugging Face: `snapshot_download` lists a pinned commit's files (`/api/<kind>s/<repository>/tree/<commit>`), asks for
each file's ETag and commit (`HEAD /<repository>/resolve/<commit>/<file>`), and gets it. Data sets lie below
`/datasets/`.

ModelScope: `HubApi.download_repo` lists a commit's files (`/api/v1/models/<repository>/repo/files`, for a data set
`/api/v1/datasets/<repository>/repo/tree`) and gets each (`/api/v1/<kind>s/<repository>/repo`), commit and path in the
query.
"""

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from tests.support.loopback import served

API = re.compile(r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)/tree/(?P<revision>[^/]+)")
FILE = re.compile(r"/(?P<datasets>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
MODELSCOPE = re.compile(r"/api/v1/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)/repo(?P<tree>/files|/tree)?")


@dataclass(frozen=True)
class Repository:
    """One commit of a repository: its files by path. The files of a gated one are refused to those without a token."""

    commit: str
    files: dict[str, bytes]
    gated: bool = False


@dataclass
class Hub:
    """The repositories by ("model" or "dataset", "owner/name"), and every request that came, as "METHOD path".

    Where `page` is set, every answer is that page, as from a network that wants a login first. `cuts` counts the
    answers that are still to be cut off in the middle, by the file's path. `ranges` logs what was asked for in part,
    as "path bytes=from-".
    """

    repositories: dict[tuple[str, str], Repository]
    page: bytes | None = None
    cuts: dict[str, int] = field(default_factory=dict)
    ranges: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""

    @contextlib.contextmanager
    def serve(self) -> Iterator["Hub"]:
        """Serve on a free port of the loopback; `endpoint` is the address, also after the server is gone."""

        class Handler(_Handler):
            hub = self

        with served(Handler) as self.endpoint:
            yield self


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
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        if match := MODELSCOPE.fullmatch(path):
            path = "/".join([path, query.get("Revision", ""), query.get("FilePath", "")]).rstrip("/")
        self.hub.requests.append(f"{self.command} {path}")
        if self.hub.page is not None:
            return self._send(200, self.hub.page, {"Content-Type": "text/html"})
        if match:
            return self._modelscope(match["kind"], match["name"], match["tree"], query)
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
            return self._send_json(200, listed)
        if repository.gated and "Authorization" not in self.headers:
            return self._refuse(401, "GatedRepo", f"Access to {key[0]} {key[1]} is restricted")
        content = repository.files.get(match["file"])
        if content is None:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        headers = {"ETag": f'"{_object_id(content)}"', "X-Repo-Commit": repository.commit}
        return self._send_file(match["file"], content, headers)

    def _modelscope(self, kind: str, name: str, tree: str | None, query: dict[str, str]) -> None:
        repository = self.hub.repositories.get((kind, name))
        if repository is None or query.get("Revision") != repository.commit:
            return self._send_json(404, {"Code": 10010205001, "Message": f"{kind} {name} not found"})
        if repository.gated and "Authorization" not in self.headers:
            return self._send_json(403, {"Code": 10010206001, "Message": "access denied"})
        if tree:
            files = [
                {"Path": path, "Type": "blob", "Size": len(content), "Sha256": hashlib.sha256(content).hexdigest()}
                for path, content in repository.files.items()
            ]
            return self._send_json(200, {"Code": 200, "Data": {"Files": files}})
        return self._send_file(query["FilePath"], repository.files[query["FilePath"]], {})

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, b"", {"X-Error-Code": code, "X-Error-Message": message})

    def _send_json(self, status: int, content: object) -> None:
        self._send(status, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _send_file(self, path: str, content: bytes, headers: dict[str, str]) -> None:
        """Send the file, or from where the client asks for it; half of that where the answer is to be cut off."""
        start, status = 0, 200
        if self.command == "GET" and (asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            self.hub.ranges.append(f"{path} {asked[0]}")
            start, status = int(asked[1]), 206
            headers = {**headers, "Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
        sent = len(content) - start
        if self.command == "GET" and self.hub.cuts.get(path, 0) > 0:
            self.hub.cuts[path] -= 1
            sent //= 2
        self._send(status, content[start:], headers, sent)

    def _send(self, status: int, content: bytes, headers: dict[str, str], sent: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:sent])


def _object_id(content: bytes) -> str:
    """Git's name of a file's content, which the hub uses as its ETag."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
