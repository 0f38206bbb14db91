#!/usr/bin/env python3
"""Writes botocore.json: requests signed by botocore, the signer of boto3 and of the AWS CLI.

    python sign_with_botocore.py > botocore.json

The clock is fixed, so the same version of botocore writes the same file.
"""

import datetime
import json
import sys

import botocore
import botocore.auth
import botocore.awsrequest
import botocore.credentials

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
JSON = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.Encrypt"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

CASES = [
    # name, method, path, query, headers, body, token, service, region
    ("kms call", "POST", "/", "", JSON, '{"KeyId":"alias/a"}', None, "kms", "eu-central-1"),
    ("empty body", "POST", "/", "", JSON, "", None, "kms", "eu-central-1"),
    ("session token", "POST", "/", "", JSON, "{}", "FQoGZXIvYXdzEXAMPLE//token+==", "kms", "us-gov-west-1"),
    ("sts call", "POST", "/", "", FORM, "Action=GetCallerIdentity&Version=2011-06-15", None, "sts", "us-east-1"),
    ("unicode body", "POST", "/", "", JSON, '{"Description":"\u1234 \U0001f511"}', None, "kms", "eu-central-1"),
    ("get with query", "GET", "/", "Version=2011-06-15&Action=GetCallerIdentity", {}, "", None, "sts", "us-east-1"),
    ("encoded query", "GET", "/", "b=%20%2B&a=%2F&a=", {}, "", None, "sts", "us-east-1"),
    ("query name twice", "GET", "/", "a=2&a=1&A=3", {}, "", None, "sts", "us-east-1"),
    ("path of segments", "POST", "/a/b%20c/d", "", JSON, "{}", None, "kms", "eu-central-1"),
    ("encoded slash", "POST", "/a%2Fb/%E1%88%B4", "", JSON, "{}", None, "kms", "eu-central-1"),
    ("dots and slashes", "POST", "/a/./b//c/../d/", "", JSON, "{}", None, "kms", "eu-central-1"),
    ("tilde and at", "POST", "/~a/@b/c:d", "", JSON, "{}", None, "kms", "eu-central-1"),
    ("inner spaces", "POST", "/", "", {**JSON, "X-Amz-Meta": "a   b  \"c   d\""}, "{}", None, "kms", "eu-central-1"),
    ("more headers", "POST", "/", "", {**JSON, "Accept": "*/*", "A-B": "1", "A": "2"}, "{}", None, "kms", "eu-central-1"),
    ("not signed ones", "POST", "/", "", {**JSON, "User-Agent": "x", "X-Amzn-Trace-Id": "y", "Expect": "100-continue"},
     "{}", None, "kms", "eu-central-1"),
    ("date of RFC 1123", "POST", "/", "", {**JSON, "Date": "replaced by the signer"}, "{}", None, "kms", "eu-central-1"),
    ("port in host", "POST", "/", "", {**JSON, "Host": "localhost:8080"}, "{}", None, "kms", "eu-central-1"),
]


def sign(name, method, path, query, headers, body, token, service, region):
    host = headers.get("Host", f"{service}.{region}.amazonaws.com")
    url = f"https://{host}{path}" + (f"?{query}" if query else "")
    request = botocore.awsrequest.AWSRequest(method=method, url=url, headers=headers, data=body.encode())
    credentials = botocore.credentials.Credentials("AKIDEXAMPLE", SECRET, token)
    botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    signed = [[name, value] for name, value in request.headers.items()]
    if "Host" not in request.headers:
        signed.append(["Host", host])
    return {
        "name": name, "method": method, "path": path, "query": query, "headers": signed, "body": body,
        "service": service, "token": token, "now": int(NOW.timestamp()),
    }


def main():
    botocore.auth.get_current_datetime = lambda remove_tzinfo=True: NOW.replace(tzinfo=None if remove_tzinfo else NOW.tzinfo)
    written = {"signer": f"botocore {botocore.__version__}", "secret": SECRET, "requests": [sign(*case) for case in CASES]}
    json.dump(written, sys.stdout, indent=1)
    print()


main()
