"""The store in an S3 bucket."""

from __future__ import annotations

import contextlib
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from pipelines.core.backend import FolderBackend, Stamp, last_folders, plain_key
from pipelines.core.errors import InfrastructureError
from pipelines.core.files import scratch_folder

FRESH = 3600.0
"""Seconds an object counts as young without being copied onto itself, which is how S3 touches; retention's grace is longer."""


class S3Backend:
    """A store in an S3 bucket. Conditional puts give `create` its exactly-once (S3 API, `If-None-Match: *`)."""

    def __init__(self, url: str, cache: Path) -> None:
        import boto3

        self.bucket, _, self.prefix = url.removeprefix("s3://").partition("/")
        self.cache = FolderBackend(cache)
        self.client = boto3.client("s3", endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3"))

    def _key(self, key: str) -> str:
        return f"{self.prefix}/{plain_key(key)}" if self.prefix else plain_key(key)

    @contextlib.contextmanager
    def _errors(self, doing: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise InfrastructureError(
                f"{doing} in bucket {self.bucket!r} failed: {error}; check its URL and credentials"
            ) from error

    def upload(self, key: str, source: Path) -> bool:
        if self.touch(key):
            return False
        with self._errors(f"storing {key}"):
            self.client.upload_file(str(source), self.bucket, self._key(key))
        return True

    def download(self, key: str) -> Path:
        from botocore.exceptions import ClientError

        with contextlib.suppress(KeyError):
            return self.cache.download(key)
        with scratch_folder("object") as folder, self._errors(f"reading {key}"):
            local = Path(folder) / "object"
            try:
                self.client.download_file(self.bucket, self._key(key), str(local))
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    raise KeyError(key) from None
                raise
            self.cache.upload(key, local)
        return self.cache.download(key)

    def read(self, key: str) -> bytes | None:
        from botocore.exceptions import ClientError

        with self._errors(f"reading {key}"):
            try:
                content: bytes = self.client.get_object(Bucket=self.bucket, Key=self._key(key))["Body"].read()
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return None
                raise
        return content

    def has(self, key: str) -> bool:
        return self.stamp(key) is not None

    def create(self, key: str, content: bytes) -> bool:
        from botocore.exceptions import ClientError

        place, writer = {"Bucket": self.bucket, "Key": self._key(key)}, uuid.uuid4().hex
        with self._errors(f"writing {key}"):
            try:
                self.client.put_object(**place, Body=content, IfNoneMatch="*", Metadata={"writer": writer})
            except ClientError as error:
                if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict", "412"):
                    # boto3 repeats a put whose answer was lost, and finds what it has written itself
                    return self._writer(key) == writer
                raise
        return True

    def _writer(self, key: str) -> str | None:
        """The mark of who created a record; None for one without, or that was removed since."""
        from botocore.exceptions import ClientError

        try:
            metadata: dict[str, str] = self.client.head_object(Bucket=self.bucket, Key=self._key(key))["Metadata"]
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return None
            raise
        return metadata.get("writer")

    def replace(self, key: str, content: bytes) -> None:
        with self._errors(f"writing {key}"):
            self.client.put_object(Bucket=self.bucket, Key=self._key(key), Body=content)

    def remove(self, key: str) -> None:
        with self._errors(f"removing {key}"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(key))
        self.cache.remove(key)

    def keys(self, prefix: str) -> list[str]:
        return sorted(self.stamps(prefix))

    def newest(self, prefix: str) -> dict[str, list[str]]:
        return last_folders(prefix, self.keys(prefix))

    def stamp(self, key: str) -> Stamp | None:
        from botocore.exceptions import ClientError

        with self._errors(f"looking for {key}"):
            try:
                found = self.client.head_object(Bucket=self.bucket, Key=self._key(key))
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return None
                raise
        return Stamp(found["ContentLength"], found["LastModified"].timestamp())

    def stamps(self, prefix: str) -> dict[str, Stamp]:
        with self._errors(f"listing {prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self._key(prefix))
            skip = len(self.prefix) + 1 if self.prefix else 0
            items = (item for page in pages for item in page.get("Contents", []))
            return {item["Key"][skip:]: Stamp(item["Size"], item["LastModified"].timestamp()) for item in items}

    def touch(self, key: str) -> bool:
        from botocore.exceptions import ClientError

        found = self.stamp(key)
        if found is None or time.time() - found.at < FRESH:
            return found is not None
        place = {"Bucket": self.bucket, "Key": self._key(key)}
        with self._errors(f"touching {key}"):
            try:
                self.client.copy(place, **place, ExtraArgs={"MetadataDirective": "REPLACE"})
            except ClientError as error:
                if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                    return False
                raise
        return True
