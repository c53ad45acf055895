"""DVC remotes of three kinds, the servers real ones on the loopback address: a directory, OpenSSH, S3-compatible."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.project import Project

KINDS = ("directory", "ssh", "s3")
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin{os.pathsep}/usr/local/sbin")
KEYS = {"access_key_id": "owner", "secret_access_key": "secret"}


class Remote:
    """A place to push to, and the hands to spoil what lies there.

    Args:
        url: as in `dvc remote add`.
        options: of the remote, for everybody.
        secrets: of the remote, for one's own checkout alone.
    """

    def __init__(self, url: str, options: dict[str, Any], secrets: dict[str, Any]) -> None:
        self.url = url
        self.options = options
        self.secrets = secrets

    def add(self, project: "Project") -> None:
        """Make it the project's default remote, with the secrets, as one would type it."""
        project.dvc("remote", "add", "--default", "shared", self.url)
        for option, value in {"verify": "true", **self.options}.items():
            project.dvc("remote", "modify", "shared", option, str(value))
        for option, value in self.secrets.items():
            project.dvc("remote", "modify", "--local", "shared", option, str(value))

    def write_config(self, project: "Project") -> None:
        """The same without `dvc`, which takes most of a second for each line."""
        lines = [f"{option} = {value}" for option, value in {"url": self.url, "verify": "true", **self.options}.items()]
        section = "['remote \"shared\"']"
        (project.folder / ".dvc/config").write_text("\n".join(["[core]", "remote = shared", section, *lines, ""]))
        self.let_in(project)

    def let_in(self, project: "Project") -> None:
        """Give a clone the secrets."""
        lines = [f"{option} = {value}" for option, value in self.secrets.items()]
        if lines:
            (project.folder / ".dvc/config.local").write_text("\n".join(["['remote \"shared\"']", *lines, ""]))

    def names(self) -> set[str]:
        """The MD5 of every object."""
        raise NotImplementedError

    def write(self, md5: str, content: bytes | None) -> None:
        """Replace an object, or remove it."""
        raise NotImplementedError


class FolderRemote(Remote):
    """A remote whose objects are the files of a folder, behind SSH too."""

    def __init__(self, folder: Path, url: str, options: dict[str, Any], secrets: dict[str, Any]) -> None:
        super().__init__(url, options, secrets)
        self.folder = folder

    def names(self) -> set[str]:
        return {path.parent.name + path.name for path in (self.folder / "files/md5").glob("??/*")}

    def write(self, md5: str, content: bytes | None) -> None:
        path = self.folder / "files/md5" / md5[:2] / md5[2:]
        path.unlink()
        if content is not None:
            path.write_bytes(content)


class BucketRemote(Remote):
    """A prefix in a bucket of an S3-compatible server."""

    def __init__(self, endpoint: str) -> None:
        import boto3

        self.bucket = f"team-{uuid.uuid4().hex[:8]}"
        options = {"endpointurl": endpoint, "region": "us-east-1", "connect_timeout": 2, "read_timeout": 5}
        super().__init__(f"s3://{self.bucket}/decant", options, KEYS)
        self._client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["access_key_id"],
            aws_secret_access_key=KEYS["secret_access_key"],
        )
        self._client.create_bucket(Bucket=self.bucket)

    def names(self) -> set[str]:
        listed = self._client.list_objects_v2(Bucket=self.bucket, Prefix="decant/files/md5/")
        return {item["Key"].removeprefix("decant/files/md5/").replace("/", "") for item in listed.get("Contents", [])}

    def write(self, md5: str, content: bytes | None) -> None:
        key = f"decant/files/md5/{md5[:2]}/{md5[2:]}"
        if content is None:
            self._client.delete_object(Bucket=self.bucket, Key=key)
        else:
            self._client.put_object(Bucket=self.bucket, Key=key, Body=content)


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port: int = opened.getsockname()[1]
        return port


@contextmanager
def serving(command: list[str], port: int, log: Path) -> Iterator[None]:
    """A server's process, from when it answers."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, f"{command} ended:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"{command} does not answer:\n{log.read_text()}"
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def sshd(folder: Path) -> Iterator[tuple[int, Path]]:
    """OpenSSH's server, run as whoever runs the tests, who can log in with one key: its port and that key."""
    assert SSHD
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # which sshd asks for when root starts it
    for name in ("host_key", "user_key", "other_key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", str(folder / name)], check=True
        )
    port = free_port()
    config = folder / "sshd_config"
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host_key",
        "AuthorizedKeysFile": folder / "user_key.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
        "Subsystem": "sftp internal-sftp",
    }
    config.write_text("".join(f"{key} {value}\n" for key, value in settings.items()))
    with serving([SSHD, "-D", "-e", "-f", str(config)], port, folder / "sshd.log"):
        yield port, folder / "user_key"


@contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """moto's HTTP server: its address."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]
    with serving(command, port, folder / "s3.log"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def checked_credentials(endpoint: str) -> Iterator[None]:
    """Let the S3 server refuse keys that it never gave out, which are all; else it takes any."""

    def begin_after(requests: bytes) -> None:
        address, headers = f"{endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(address, requests, headers, method="POST")).close()

    begin_after(b"0")
    try:
        yield
    finally:
        begin_after(b"inf")
