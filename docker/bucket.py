"""Create the bucket of PIPELINES_STORE when it is not there; exits non-zero, to be restarted, while S3 is not up yet."""

import os
import sys
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import BotoCoreError, ClientError

bucket = urlsplit(os.environ["PIPELINES_STORE"]).netloc
try:
    boto3.client("s3").create_bucket(Bucket=bucket)
except ClientError as error:
    if error.response["Error"]["Code"] not in ("BucketAlreadyExists", "BucketAlreadyOwnedByYou"):
        sys.exit(f"bucket {bucket!r} could not be created: {error}")
except BotoCoreError as error:
    sys.exit(f"S3 does not answer yet: {error}")
