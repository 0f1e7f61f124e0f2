//! Which rclone arguments `remote.extra_args` may add, and why not the others.
//!
//! An allow-list by exact name: what rclone learns in its next release is refused until somebody
//! has thought about it. [`REFUSED`] decides nothing; it only gives the reason and the way out
//! for what people are likely to try. Taken from `rclone help flags` of 1.60.1 and 1.75.2.

/// What a flag's value must look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// No value, or `=true` or `=false`: a separate element would be an argument, not a value.
    Switch,
    /// Like `Switch`, but it cannot be switched off.
    On,
    /// `true`, `false` or `unset`; the value is needed.
    Tristate,
    /// A whole number in this range, both ends included.
    Count(u32, u32),
    /// A decimal number, no less than this.
    Rate(f64),
    /// A size between 5 MiB and 5 GiB, the limits that S3 sets for a part and for one copy.
    Size,
    /// A size between nothing and 5 GiB.
    Cutoff,
    /// A duration up to 30 days, as Go reads it; 0 only where it is harmless.
    Time {
        /// Whether 0 is accepted.
        zero: bool,
    },
    /// Letters, digits, `-`, `_`, `.`.
    Word,
    Choice(&'static [&'static str]),
}

use Kind::{Choice, Count, Cutoff, On, Rate, Size, Switch, Time, Tristate, Word};

/// What may be added. Nothing here changes what is stored, where, or what `verify` compares.
pub(super) const ALLOWED: &[(&str, Kind)] = &[
    // How many at once, how often, how long, how many times.
    ("--transfers", Count(1, 1024)),
    ("--checkers", Count(1, 1024)),
    ("--tpslimit", Rate(0.1)),
    ("--tpslimit-burst", Count(1, 10_000)),
    // 0 would wait for ever.
    ("--timeout", Time { zero: false }),
    ("--contimeout", Time { zero: false }),
    ("--expect-continue-timeout", Time { zero: true }),
    // With `--retries 0` rclone 1.60.1 does nothing at all and exits 0.
    ("--retries", Count(1, 1000)),
    ("--retries-sleep", Time { zero: true }),
    ("--low-level-retries", Count(1, 1000)),
    // A public ACL would publish the backup.
    (
        "--s3-acl",
        Choice(&["private", "bucket-owner-read", "bucket-owner-full-control"]),
    ),
    ("--s3-chunk-size", Size),
    ("--s3-copy-cutoff", Cutoff),
    ("--s3-upload-cutoff", Cutoff),
    ("--s3-upload-concurrency", Count(1, 256)),
    ("--s3-max-upload-parts", Count(1, 10_000)),
    ("--s3-use-multipart-uploads", Tristate),
    ("--s3-use-multipart-etag", Tristate),
    // We set it ourselves: off, rclone would create a missing bucket.
    ("--s3-no-check-bucket", On),
    // Skips rclone's look at what it has just sent: `verify` looks at everything.
    ("--s3-no-head", Switch),
    ("--s3-no-system-metadata", Switch),
    ("--s3-list-chunk", Count(1, 10_000)),
    ("--s3-list-url-encode", Tristate),
    ("--s3-list-version", Count(0, 2)),
    // How a request is put and signed, for services that are particular about it.
    ("--s3-region", Word),
    ("--s3-force-path-style", Switch),
    ("--s3-disable-http2", Switch),
    ("--s3-requester-pays", Switch),
    ("--s3-sign-accept-encoding", Tristate),
    ("--s3-use-accept-encoding-gzip", Tristate),
    ("--s3-use-data-integrity-protections", Tristate),
    ("--s3-use-presigned-request", Switch),
    ("--s3-use-unsigned-payload", Tristate),
    ("--s3-use-x-id", Tristate),
    ("--s3-v2-auth", Switch),
    // With aws:kms an ETag is no MD5, and every listing would cost a request per object.
    ("--s3-server-side-encryption", Choice(&["AES256"])),
    // GLACIER and DEEP_ARCHIVE cannot be read back until they are thawed.
    (
        "--s3-storage-class",
        Choice(&[
            "STANDARD",
            "REDUCED_REDUNDANCY",
            "STANDARD_IA",
            "ONEZONE_IA",
            "INTELLIGENT_TIERING",
            "GLACIER_IR",
        ]),
    ),
];

const KEYS: &str = "credentials come from the environment or env_file, never from an argument";
const OURS: &str = "leave it out: it is ours to set";
const NO_BUCKET: &str = "leave it out: no bucket is ever created";
const SUMS: &str = "leave it out: verify compares names, sizes and MD5 sums of what is stored";
const LOCKS: &str = "set a default retention on the bucket instead";
const ENDPOINT: &str = "set remote.endpoint instead";

/// Likely attempts: an exact name, or a beginning followed by `*`; why not; what to do.
#[rustfmt::skip] // one row a case
pub(super) const REFUSED: &[(&str, &str, &str)] = &[
    ("--s3-access-key-id", "is a credential", KEYS),
    ("--s3-secret-access-key", "is a credential", KEYS),
    ("--s3-session-token", "is a credential", KEYS),
    ("--s3-ibm-*", "is a credential or belongs to one", KEYS),
    ("--s3-role-*", "takes another identity than the two keys give", KEYS),
    ("--s3-env-auth", "says where credentials come from", OURS),
    ("--s3-profile", "says where credentials come from", KEYS),
    ("--s3-shared-credentials-file", "says where credentials come from", KEYS),
    ("--s3-sse-customer-*", "would put an encryption key in the process list", "use a bucket with default encryption"),
    ("--s3-sse-kms-key-id", "makes ETags that are no MD5 sums", "use a bucket with default encryption"),
    ("--s3-endpoint", "has a key of its own", ENDPOINT),
    ("--s3-download-url", "reads from elsewhere than it writes", ENDPOINT),
    ("--s3-use-accelerate-endpoint", "replaces the endpoint", ENDPOINT),
    ("--s3-use-dual-stack", "replaces the endpoint", ENDPOINT),
    ("--s3-use-arn-region", "replaces the endpoint", ENDPOINT),
    ("--s3-provider", "has a key of its own", "set remote.provider instead"),
    ("--s3-encoding", "changes how names are stored", OURS),
    ("--s3-disable-checksum", "leaves large objects without an MD5 sum", SUMS),
    ("--s3-decompress", "changes what is read back", SUMS),
    ("--s3-might-gzip", "switches off the checks of size and sum", SUMS),
    ("--s3-no-head-object", "hides size and sum of an object", SUMS),
    ("--s3-directory-bucket", "lists no MD5 sums", SUMS),
    ("--s3-directory-markers", "adds objects that no manifest has", SUMS),
    ("--s3-version*", "shows old or deleted objects as if they were there", SUMS),
    ("--s3-list-versions-oldest-first", "is about old versions, which are never listed", SUMS),
    ("--s3-leave-parts-on-error", "leaves parts behind that are invisible and billed", "leave it out"),
    ("--s3-bypass-governance-retention", "deletes what a lock protects", LOCKS),
    ("--s3-object-lock-*", "locks the marks that a run takes away again", LOCKS),
    ("--s3-bucket-*", "is about creating buckets", NO_BUCKET),
    ("--s3-location-constraint", "is about creating buckets", NO_BUCKET),
    ("--s3-use-already-exists", "is about creating buckets", NO_BUCKET),
    ("--s3-sdk-log-mode", "writes requests, signatures included, to the log", "use opencode-backup -v"),
    ("--bwlimit*", "has a key of its own", "set remote.bandwidth instead"),
    ("--metadata-mapper", "runs a program", "leave it out"),
    ("--password-command", "runs a program", "leave it out"),
    ("--rc*", "opens a port", "leave it out"),
    ("--metrics-*", "opens a port", "leave it out"),
    ("--dump*", "prints requests, keys included", "use opencode-backup -v"),
    ("--verbose*", "prints what we would have to redact", "use opencode-backup -v"),
    ("--log-*", "sends the log where nobody redacts it", OURS),
    ("--syslog*", "sends the log where nobody redacts it", OURS),
    ("--use-json-log", "changes the log that we read", OURS),
    ("--stats*", "changes the log that we read", OURS),
    ("--progress*", "changes the log that we read", OURS),
    ("--quiet", "changes the log that we read", OURS),
    ("--config", "brings in another configuration", OURS),
    ("--cache-dir", "names a directory to write to", OURS),
    ("--temp-dir", "names a directory to write to", OURS),
    ("--include*", "filters", "a dataset is stored whole: choose its path"),
    ("--exclude*", "filters", "a dataset is stored whole: choose its path"),
    ("--filter*", "filters", "a dataset is stored whole: choose its path"),
    ("--files-from*", "filters", "a dataset is stored whole: choose its path"),
    ("--hash-filter", "filters", "a dataset is stored whole: choose its path"),
    ("--max-*", "stops or filters before all is stored", "leave it out"),
    ("--min-*", "filters", "a dataset is stored whole: choose its path"),
    ("--cutoff-mode", "stops before all is stored", "leave it out"),
    ("--metadata-*", "filters or changes metadata", "leave it out"),
    ("--metadata", "changes what is stored", OURS),
    ("--ignore-*", "skips files or checks", SUMS),
    ("--size-only", "compares sizes alone", SUMS),
    ("--update", "skips files", SUMS),
    ("--dry-run", "stores nothing", "use opencode-backup run --dry-run"),
    ("--interactive", "asks questions", "leave it out"),
    ("--copy-*", "changes what is stored", OURS),
    ("--links", "changes what is stored", OURS),
    ("--skip-links", "changes what is stored", OURS),
    ("--compare-dest", "leaves out what lies elsewhere", "set remote.incremental instead"),
    ("--backup-dir", "moves objects elsewhere", OURS),
    ("--suffix*", "renames objects", OURS),
    ("--delete-*", "changes what is deleted", OURS),
    ("--no-check-certificate", "trusts any server", "add the service's CA to the system's"),
    ("--ca-cert", "changes whom we trust", "add the service's CA to the system's"),
    ("--client-*", "is a credential", KEYS),
    ("--header*", "adds to every request, credentials included", "leave it out"),
    ("--buffer-size", "takes memory behind the limit's back", "set remote.memory instead"),
    ("--multi-thread-*", "takes memory behind the limit's back", "set remote.memory instead"),
    ("--use-mmap", "changes how memory is taken", "set remote.memory instead"),
];
