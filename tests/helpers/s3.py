"""A real S3 server on loopback, that of moto, with a bucket of its own for each test.

    from helpers.s3 import bucket, s3_server

in a ``conftest.py``. What a test finds in a bucket comes by boto3, which the code that is tested does not use.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from curate.runtime import streams
from curate.runtime.disk import mirrors

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
OTHER = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "FSSPEC_S3_ENDPOINT_URL")
KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}


@dataclass(frozen=True)
class TestBucket:
    """A bucket, empty at first."""

    __test__ = False
    name: str
    client: Any
    """Of boto3."""

    @property
    def url(self):
        return f"s3://{self.name}"

    def list(self, below=""):
        """The names of the objects whose names begin with ``below``, sorted."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=below)
        return sorted(one["Key"] for page in pages for one in page.get("Contents", ()))

    def read(self, name):
        return self.client.get_object(Bucket=self.name, Key=name)["Body"].read()

    def write(self, name, data):
        self.client.put_object(Bucket=self.name, Key=name, Body=data)

    def remove(self, name):
        self.client.delete_object(Bucket=self.name, Key=name)

    def download(self, below, folder):
        """Write the objects below a name into a folder, by their names below it; return the folder."""
        for name in self.list(f"{below}/"):
            path = Path(folder) / name.removeprefix(f"{below}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read(name))
        return Path(folder)

    def upload(self, folder, below):
        """Write the files of a folder as objects below a name; return the URL of that."""
        for path in sorted(Path(folder).rglob("*")):
            if path.is_file():
                self.write(f"{below}/{path.relative_to(folder).as_posix()}", path.read_bytes())
        return f"{self.url}/{below}"


@pytest.fixture(scope="session")
def s3_server():
    """The URL of a server, one for all tests of a process."""
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_environment(s3_server, tmp_path, monkeypatch):
    """The environment by which drivers find the server, in this process and in those that it starts."""
    for name in (*PROXIES, *OTHER):
        monkeypatch.delenv(name, raising=False)
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("CURATE_MIRRORS", str(tmp_path / "mirrors"))
    _forget_stores()
    yield s3_server
    _forget_stores()


@pytest.fixture
def bucket(s3_environment):
    """A bucket of the server, which no other test has."""
    return make_bucket(s3_environment)


@pytest.fixture
def memory_store(tmp_path, monkeypatch):
    """The URL of a folder in memory, which processes that are started do not see."""
    import fsspec

    monkeypatch.setenv("CURATE_MIRRORS", str(tmp_path / "mirrors"))
    _forget_stores()
    yield f"memory://{secrets.token_hex(6)}"
    _forget_stores()
    fsspec.filesystem("memory").store.clear()


def make_bucket(server):
    """Create a bucket of a server."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=server, region_name="us-east-1", aws_access_key_id="test", aws_secret_access_key="test"
    )
    name = f"b-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    return TestBucket(name, client)


def _forget_stores():
    """Forget what this process knows of stores: mirrors, and connections by an environment of before."""
    import fsspec

    mirrors._mirrors.clear()
    streams._shown_as.clear()
    fsspec.get_filesystem_class("s3").clear_instance_cache()
