#!/usr/bin/env python3
"""b2_stub.py PORT FOLDER: as much of the native B2 API as the real b2sdk needs to store one small file. Each
folder in FOLDER is a bucket, the S3 server beside us shows the same. The key is in the environment."""

import base64
import json
import os
import pathlib
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT, FOLDER = sys.argv[1:]
KEY_ID, APP_KEY = os.environ["B2_KEY_ID"], os.environ["B2_APP_KEY"]
REALM = f"http://127.0.0.1:{PORT}"
BASIC = "Basic " + base64.b64encode(f"{KEY_ID}:{APP_KEY}".encode()).decode()
TOKEN = "4_token_of_the_stub"
MAY = ["listBuckets", "listFiles", "readFiles", "writeFiles"]
NOTHING = {"isClientAuthorizedToRead": True, "value": {"mode": None}}


def account(_):
    storage = {
        "apiUrl": REALM, "downloadUrl": REALM, "s3ApiUrl": REALM, "bucketId": None, "bucketName": None,
        "namePrefix": None, "capabilities": MAY, "absoluteMinimumPartSize": 5_000_000,
        "recommendedPartSize": 100_000_000,
        "allowed": {"capabilities": MAY, "buckets": None, "namePrefix": None},
    }
    return {"accountId": "vm", "authorizationToken": TOKEN, "apiInfo": {"storageApi": storage}}


def buckets(asked):
    names = [path.name for path in pathlib.Path(FOLDER).iterdir()]
    return {"buckets": [bucket(name) for name in names if name == asked.get("bucketName", name)]}


def bucket(name):
    return {
        "accountId": "vm", "bucketId": name, "bucketName": name, "bucketType": "allPrivate", "bucketInfo": {},
        "corsRules": [], "lifecycleRules": [], "revision": 1, "options": [],
        "defaultServerSideEncryption": NOTHING,
        "fileLockConfiguration": {"isClientAuthorizedToRead": True, "value": {
            "defaultRetention": {"mode": None, "period": None}, "isFileLockEnabled": False}},
        "replicationConfiguration": {"isClientAuthorizedToRead": True, "value": {
            "asReplicationSource": None, "asReplicationDestination": None}},
    }


def upload_url(asked):
    url = f"{REALM}/upload_file/{asked['bucketId']}"
    return {"bucketId": asked["bucketId"], "uploadUrl": url, "authorizationToken": TOKEN}


class Stub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.call()

    def do_POST(self):
        self.call()

    def call(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        calls = {"b2_authorize_account": account, "b2_list_buckets": buckets, "b2_get_upload_url": upload_url}
        path = self.path.split("?")[0].split("/")
        if self.headers.get("Authorization") != (BASIC if path[-1] == "b2_authorize_account" else TOKEN):
            self.answer(401, {"status": 401, "code": "unauthorized", "message": "the stub says no"})
        elif "upload_file" in path:
            self.answer(200, self.store(path[-1], body))
        elif path[-1] in calls:
            asked = json.loads(body) if body else {}
            self.answer(200, calls[path[-1]](asked))
        else:
            self.answer(400, {"status": 400, "code": "bad_request", "message": self.path})

    def store(self, bucket_name, body):
        sha1 = self.headers["X-Bz-Content-Sha1"]
        if sha1 == "hex_digits_at_end":
            body, sha1 = body[:-40], body[-40:].decode()
        name = urllib.parse.unquote(self.headers["X-Bz-File-Name"])
        (pathlib.Path(FOLDER) / bucket_name / name).write_bytes(body)
        return {
            "accountId": "vm", "action": "upload", "bucketId": bucket_name, "fileId": name, "fileName": name,
            "contentLength": len(body), "contentType": "application/json", "contentSha1": sha1,
            "contentMd5": None, "fileInfo": {}, "uploadTimestamp": 1_735_732_800_000,
            "fileRetention": NOTHING, "legalHold": {"isClientAuthorizedToRead": True, "value": None},
            "serverSideEncryption": {"mode": None},
        }

    def answer(self, status, value):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


ThreadingHTTPServer(("127.0.0.1", int(PORT)), Stub).serve_forever()
