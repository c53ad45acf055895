"""A tiny server on the loopback that speaks as much of the Hugging Face hub's protocol as publishing needs.

A repository is made (`/api/repos/create`); each file's way is asked for (`/api/<kind>s/<name>/preupload/main`); large
ones go through git LFS (`/<name>.git/info/lfs/objects/batch`, then a PUT), small ones stand in the commit itself
(`/api/<kind>s/<name>/commit/main`, JSON lines). Whoever has not the token is refused.
"""

import base64
import contextlib
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests.support.loopback import served

TOKEN = "hf_right"
COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
LARGE = (".safetensors", ".parquet")
ASKED = re.compile(r"/api/(?P<kind>model|dataset)s/(?P<name>[^/]+/[^/]+)/(?P<what>preupload|commit)/main")


@dataclass
class WritableHub:
    """What was published: repositories with their visibility and their files, and every request, as "METHOD path"."""

    private: dict[tuple[str, str], bool] = field(default_factory=dict)
    files: dict[tuple[str, str], dict[str, bytes]] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    endpoint: str = ""

    @contextlib.contextmanager
    def serve(self) -> Iterator["WritableHub"]:
        """Serve on a free port of the loopback, at `endpoint`."""

        class Handler(_Handler):
            hub = self

        with served(Handler) as self.endpoint:
            yield self


class _Handler(BaseHTTPRequestHandler):
    hub: WritableHub

    def do_POST(self) -> None:
        path, body = self.path.partition("?")[0], self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer({"error": "Invalid username or password."}, 401)
        elif path == "/api/repos/create":
            asked = json.loads(body)
            key = asked.get("type", "model"), f"{asked.get('organization') or 'me'}/{asked['name']}"
            there = key in self.hub.files
            self.hub.private.setdefault(key, asked["visibility"] == "private")
            self.hub.files.setdefault(key, {})
            self._answer({"url": self._address(key), "error": "exists"}, 409 if there else 200)
        elif path == "/api/validate-yaml":
            errors = [{"message": '"license" must be one of'}] if b"license: no-such" in body else []
            self._answer({"errors": errors, "warnings": []}, 400 if errors else 200)
        elif path.endswith(".git/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            at = f"{self.hub.endpoint}/large"
            told = [{**each, "actions": {"upload": {"href": f"{at}/{each['oid']}"}}} for each in objects]
            self._answer({"transfer": "basic", "objects": told})
        elif match := ASKED.fullmatch(path):
            key = match["kind"], match["name"]
            if key not in self.hub.files:
                self._answer({"error": "Repository not found"}, 404)
            elif match["what"] == "preupload":
                told = [
                    {
                        "path": each["path"],
                        "uploadMode": "lfs" if each["path"].endswith(LARGE) else "regular",
                        "shouldIgnore": False,
                    }
                    for each in json.loads(body)["files"]
                ]
                self._answer({"files": told})
            else:
                self._commit(key, [json.loads(line) for line in body.splitlines()])
        else:
            self._answer({"error": f"no {path}"}, 404)

    def do_PUT(self) -> None:
        body = self._body()
        oid = self.path.rpartition("/")[2]
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.large[oid] = body
        self._answer({})

    def log_message(self, *_: object) -> None:
        """Nothing: `WritableHub.requests` holds the log."""

    def _commit(self, key: tuple[str, str], lines: list[dict[str, Any]]) -> None:
        files = self.hub.files[key]
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.hub.large[value["oid"]]
        url = f"{self._address(key)}/commit/{COMMIT}"
        self._answer({"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})

    def _address(self, key: tuple[str, str]) -> str:
        return f"{self.hub.endpoint}/{'datasets/' if key[0] == 'dataset' else ''}{key[1]}"

    def _body(self) -> bytes:
        self.hub.requests.append(f"{self.command} {self.path}")
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, content: dict[str, Any], status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
