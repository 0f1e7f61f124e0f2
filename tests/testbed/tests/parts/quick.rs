//! The quick server, with what rclone asks of a bucket in a whole backup's life,
//! seen through a link that counts.

use std::fs;

use anyhow::Result;
use testbed::link::{Kind, Link, Profile};
use testbed::s3::{S3, unique_bucket};
use testbed::scratch::Scratch;

#[test]
fn parts_copies_listings_and_checksums_work_with_each_rclone_and_are_counted() -> Result<()> {
    let scratch = Scratch::new()?;
    let s3 = S3::quick(&scratch.path().join("quick"))?;
    let source = scratch.path().join("source");
    for i in 0..30 {
        let dir = source.join(format!("d{}/e & f", i % 3));
        fs::create_dir_all(&dir)?;
        fs::write(dir.join(format!("ü {i}+%41")), format!("{i}"))?;
    }
    let large: Vec<u8> = (0..12_u32 << 20).map(|i| (i / 255) as u8).collect();
    fs::write(source.join("large"), large)?;
    let source = source.to_string_lossy();
    crate::each_rclone(|name, rclone| {
        let link = Link::start(s3.addr(), Profile::COUNTING)?;
        let bucket = unique_bucket();
        s3.create_bucket(&bucket)?;
        let (one, two) = (format!("s3:{bucket}/one"), format!("s3:{bucket}/two"));
        let counted = |words: &[&str]| -> Result<_> {
            let before = link.requests();
            let ran = rclone(&link.endpoint(), words)?;
            assert_eq!(ran.code, Some(0), "{name}: {words:?}: {ran}");
            Ok((ran, link.requests().since(&before)))
        };
        let parts = [
            "--s3-upload-cutoff",
            "5M",
            "--s3-chunk-size",
            "5M",
            "--s3-no-head",
        ];
        let (_, sent) = counted(&[&["sync", &source, &one], parts.as_slice()].concat())?;
        let kinds = [Kind::Put, Kind::Part, Kind::Multipart].map(|kind| sent.of(kind));
        assert_eq!(kinds, [30, 3, 2], "{name}: {sent}");

        let (_, copied) = counted(&["copy", &one, &two])?;
        assert_eq!(copied.of(Kind::Copy), 31, "{name}: {copied}");
        assert_eq!(
            copied.of(Kind::Put) + copied.of(Kind::Part),
            0,
            "{name}: {copied}"
        );
        for stored in [&one, &two] {
            counted(&["check", &source, stored])?;
            counted(&["check", "--download", &source, stored])?;
        }
        let list = [
            "lsjson",
            "-R",
            "--files-only",
            "--hash",
            "--no-modtime",
            "--no-mimetype",
        ];
        let (listed, asked) = counted(&[&list[..], &["--fast-list", two.as_str()]].concat())?;
        assert_eq!(
            listed.stdout.matches("\"md5\"").count(),
            31,
            "{name}: {listed}"
        );
        // One to see whether `two` is an object, one for what went in parts.
        assert_eq!(asked.to_string(), "2 HEAD, 1 LIST", "{name}");

        let (again, sent) = counted(&["sync", "-v", &source, &one])?;
        assert_eq!(sent.of(Kind::Put), 0, "{name}: {sent}\n{again}");
        counted(&["purge", &one])?;
        counted(&["check", "--download", &source, &two])?;
        assert_eq!(s3.keys(&bucket)?.len(), 31, "{name}");
        s3.clear()?;
        assert!(s3.keys(&bucket)?.is_empty(), "{name}");
        Ok(())
    })
}
