//! The native B2 API, as much of it as the real b2sdk needs to store a small
//! file, on loopback. Answers have the fields that b2sdk 2.13 insists on.
//!
//! The surprise: it keeps nothing itself. What it receives goes into the S3
//! server's bucket, since with the real B2 both APIs show the same objects; and
//! its date is the S3 server's, since b2sdk refuses a server whose clock is not
//! its own, and a test may have moved both.

use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::http::{Conn, Head, decode, encode};
use crate::listener::Listener;
use crate::process::lock;
use crate::s3::{Objects, S3};

const ACCOUNT: &str = "0ocb00testbed";
const BUCKET_ID: &str = "b0c4e70b0c4e70b0c4e70b0c";
const CAPABILITIES: [&str; 4] = ["listBuckets", "listFiles", "readFiles", "writeFiles"];
const TOKEN: &str = "4_token_of_the_stub";

#[derive(Default)]
struct State {
    uploads: Vec<(String, usize)>,
    calls: Vec<String>,
    failing: Option<u16>,
}

struct Stub {
    s3: Objects,
    endpoint: String,
    bucket: String,
    basic: String,
    state: Mutex<State>,
}

/// The running stub.
pub struct B2Stub {
    listener: Listener,
    stub: Arc<Stub>,
}

impl B2Stub {
    /// Starts one that knows one key and one bucket, and stores into `s3`.
    pub fn start(s3: &S3, bucket: &str, key_id: &str, app_key: &str) -> Result<Self> {
        let basic = format!("Basic {}", STANDARD.encode(format!("{key_id}:{app_key}")));
        let bucket = bucket.to_owned();
        let stub = Arc::new(Stub {
            s3: Objects::clone(s3),
            endpoint: s3.endpoint(),
            bucket,
            basic,
            state: Mutex::default(),
        });
        let shared = Arc::clone(&stub);
        let listener = Listener::start(move |stream| {
            shared.serve(stream).ok();
        })?;
        Ok(Self { listener, stub })
    }

    /// What `authorize_account` takes for its realm.
    pub fn realm(&self) -> String {
        format!("http://{}", self.listener.addr())
    }

    /// Names and sizes of what was stored, in order.
    pub fn uploads(&self) -> Vec<(String, usize)> {
        lock(&self.stub.state).uploads.clone()
    }

    /// Names of the API calls so far.
    pub fn calls(&self) -> Vec<String> {
        lock(&self.stub.state).calls.clone()
    }

    /// Answers every upload with this status from now on.
    pub fn fail_uploads(&self, status: u16) {
        lock(&self.stub.state).failing = Some(status);
    }

    /// Stores uploads again.
    pub fn accept_uploads(&self) {
        lock(&self.stub.state).failing = None;
    }
}

type Answer = (u16, Value);

fn error(status: u16, code: &str) -> Answer {
    (
        status,
        json!({ "status": status, "code": code, "message": "the stub says no" }),
    )
}

impl Stub {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let realm = format!("http://{}", stream.local_addr()?);
        let mut conn = Conn::new(stream);
        while let Some(head) = conn.read_head()? {
            if head.get("expect").is_some() {
                conn.write_head(&Head::new("HTTP/1.1 100 Continue"))?;
            }
            let body = conn.whole_body(head.request_framing())?;
            let (status, answer) = self.call(&realm, &head, body);
            let first = Head::new(format!("HTTP/1.1 {status} -"))
                .with("Content-Type", "application/json")
                .with("Date", self.s3.date().unwrap_or_default());
            conn.answer(first, answer.to_string().as_bytes(), head.word(0) != "HEAD")?;
            if head.closes() {
                break;
            }
        }
        Ok(())
    }

    fn call(&self, realm: &str, head: &Head, body: Vec<u8>) -> Answer {
        let path = head.word(1).split('?').next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or_default();
        lock(&self.state).calls.push(name.to_owned());
        let auth = head.get("authorization").unwrap_or_default();
        if name == "b2_authorize_account" {
            return if auth == self.basic {
                self.account(realm)
            } else {
                error(401, "unauthorized")
            };
        }
        if auth != TOKEN {
            return error(401, "bad_auth_token");
        }
        let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
        match name {
            "b2_list_buckets" => self.buckets(&asked),
            "b2_get_upload_url" => {
                let url = format!("{realm}/upload_file");
                (
                    200,
                    json!({ "bucketId": BUCKET_ID, "uploadUrl": url, "authorizationToken": TOKEN }),
                )
            }
            "upload_file" => self.store(head, body),
            "b2_list_file_names" => self.names(),
            "b2_get_file_info" => {
                let id = asked["fileId"].as_str().unwrap_or_default();
                let uploads = lock(&self.state).uploads.clone();
                let found = uploads.iter().find(|(name, _)| file_id(name) == id);
                found.map_or_else(
                    || error(404, "not_found"),
                    |(name, size)| (200, file(name, *size)),
                )
            }
            _ => error(400, "bad_request"),
        }
    }

    fn account(&self, realm: &str) -> Answer {
        let storage = json!({
            "apiUrl": realm, "downloadUrl": realm, "s3ApiUrl": self.endpoint,
            // Version 3 of the API, then version 4: b2sdk's interfaces differ.
            "bucketId": BUCKET_ID, "bucketName": self.bucket, "namePrefix": null,
            "capabilities": CAPABILITIES,
            "absoluteMinimumPartSize": 5_000_000, "recommendedPartSize": 100_000_000,
            "allowed": {
                "capabilities": CAPABILITIES,
                "buckets": [{ "id": BUCKET_ID, "name": self.bucket }],
                "namePrefix": null
            }
        });
        let api = json!({ "storageApi": storage });
        (
            200,
            json!({ "accountId": ACCOUNT, "authorizationToken": TOKEN, "apiInfo": api }),
        )
    }

    fn buckets(&self, asked: &Value) -> Answer {
        let other = asked["bucketName"]
            .as_str()
            .is_some_and(|name| name != self.bucket);
        if other || !self.s3.has_bucket(&self.bucket).unwrap_or(false) {
            return (200, json!({ "buckets": [] }));
        }
        let nothing = json!({ "isClientAuthorizedToRead": true, "value": { "mode": null } });
        let lock = json!({ "isClientAuthorizedToRead": true, "value": {
            "defaultRetention": { "mode": null, "period": null }, "isFileLockEnabled": false } });
        let bucket = json!({
            "accountId": ACCOUNT, "bucketId": BUCKET_ID, "bucketName": self.bucket,
            "bucketType": "allPrivate", "bucketInfo": {}, "corsRules": [], "lifecycleRules": [],
            "revision": 1, "options": [], "defaultServerSideEncryption": nothing,
            "fileLockConfiguration": lock,
            "replicationConfiguration": { "isClientAuthorizedToRead": true, "value": {
                "asReplicationSource": null, "asReplicationDestination": null } }
        });
        (200, json!({ "buckets": [bucket] }))
    }

    fn store(&self, head: &Head, mut body: Vec<u8>) -> Answer {
        if let Some(status) = lock(&self.state).failing {
            return error(status, "service_unavailable");
        }
        let mut sha1 = head.get("x-bz-content-sha1").unwrap_or_default().to_owned();
        if sha1 == "hex_digits_at_end" {
            let digits = body.split_off(body.len().saturating_sub(40));
            sha1 = String::from_utf8_lossy(&digits).into_owned();
        }
        let name = decode(head.get("x-bz-file-name").unwrap_or_default());
        if self.s3.put(&self.bucket, &name, &body).is_err() {
            return error(503, "service_unavailable");
        }
        lock(&self.state).uploads.push((name.clone(), body.len()));
        let mut answer = file(&name, body.len());
        answer["contentSha1"] = sha1.into();
        (200, answer)
    }

    fn names(&self) -> Answer {
        let uploads = lock(&self.state).uploads.clone();
        let files: Vec<Value> = uploads
            .iter()
            .map(|(name, size)| file(name, *size))
            .collect();
        (200, json!({ "files": files, "nextFileName": null }))
    }
}

fn file_id(name: &str) -> String {
    format!("4_z{BUCKET_ID}_{}", encode(name))
}

fn file(name: &str, size: usize) -> Value {
    json!({
        "accountId": ACCOUNT, "action": "upload", "bucketId": BUCKET_ID, "fileId": file_id(name),
        "fileName": name, "contentLength": size, "contentType": "application/json",
        "contentSha1": null, "contentMd5": null, "fileInfo": {}, "uploadTimestamp": 1_735_732_800_000_u64,
        "fileRetention": { "isClientAuthorizedToRead": true, "value": { "mode": null } },
        "legalHold": { "isClientAuthorizedToRead": true, "value": null },
        "serverSideEncryption": { "mode": null }
    })
}
