//! What a listing needs of a manifest, read as a stream: a manifest of 200,000 files has 60 MB, and twenty of
//! them are read at once.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{ExportRecord, Head, MAJOR};

/// What a listing needs of a manifest; the entries are skipped while reading.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// Who and when.
    #[serde(flatten)]
    pub head: Head,
    /// When it was written.
    pub finished: String,
    /// Whether every dataset is in it.
    pub complete: bool,
    /// What came of the export.
    pub export: ExportRecord,
    /// The datasets in it.
    pub datasets: Vec<DatasetSummary>,
}

/// What a listing needs of a dataset.
#[derive(Clone, Debug, Deserialize)]
pub struct DatasetSummary {
    /// Its name.
    pub name: String,
    /// Where its objects are.
    pub prefix: String,
    /// Number of files.
    pub files: u64,
    /// Bytes in all.
    pub bytes: u64,
    /// When the server last saved.
    pub data_time: Option<String>,
}

impl Summary {
    /// Reads every manifest in what `source` gives to the function that it is called with.
    ///
    /// # Errors
    /// What `source` says, or where something is no manifest, or one of another major version.
    pub fn read(source: impl FnOnce(&mut dyn FnMut(&[u8])) -> Result<()>) -> Result<Vec<Self>> {
        let (sender, receiver) = sync_channel(16);
        thread::scope(|scope| {
            let parser = scope.spawn(|| {
                Self::parse(Pieces {
                    receiver,
                    piece: Vec::new(),
                    at: 0,
                })
            });
            // A parser that gave up does not listen any more, and says why below.
            let source = source(&mut |bytes| drop(sender.send(bytes.to_vec())));
            drop(sender);
            let parsed = parser
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            source.and(parsed)
        })
    }

    fn parse(reader: impl Read) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for summary in serde_json::Deserializer::from_reader(reader).into_iter::<Self>() {
            let summary = summary.context("reading a manifest")?;
            let major = summary.head.schema.major;
            if major != MAJOR {
                bail!(
                    "the manifest of {} has format {major}, and this version reads format {MAJOR}: use a newer opencode-backup",
                    summary.head.timestamp
                );
            }
            all.push(summary);
        }
        Ok(all)
    }
}

/// Pieces from another thread, as one stream.
struct Pieces {
    receiver: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.receiver.recv() {
                Ok(piece) => (self.piece, self.at) = (piece, 0),
                Err(_) => return Ok(0),
            }
        }
        let read = (&self.piece[self.at..]).read(buffer)?;
        self.at += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(timestamp: &str, major: u32) -> String {
        format!(
            r#"{{"schema":{{"major":{major},"minor":9}},"tool":"t","host":"h","timestamp":"{timestamp}","started":"s",
            "finished":"f","complete":true,"novelty":[{{}}],"export":{{"outcome":"stored","object":"o","size":1,"error":null}},
            "datasets":[{{"name":"a","prefix":"p","files":2,"bytes":3,"data_time":null,"entries":[{{"path":"x"}}]}}]}}"#
        )
    }

    fn read(text: &str) -> Result<Vec<Summary>> {
        Summary::read(|take| {
            text.as_bytes().chunks(7).for_each(take);
            Ok(())
        })
    }

    #[test]
    fn several_in_a_row_are_read_and_unknown_fields_accepted() {
        let text =
            manifest("2025-01-01T12-00-00Z", 1) + "\n" + &manifest("2025-01-01T18-00-00Z", 1);
        let all = read(&text).expect("both are whole");
        assert_eq!(all.len(), 2);
        assert_eq!((all[1].datasets[0].files, all[1].datasets[0].bytes), (2, 3));
    }

    #[test]
    fn another_major_version_and_half_a_manifest_are_refused() {
        let other = read(&manifest("2025-01-01T12-00-00Z", 2)).expect_err("format 2");
        assert!(other.to_string().contains("has format 2"), "{other:#}");
        let text = manifest("2025-01-01T12-00-00Z", 1);
        assert!(read(&text[..text.len() / 2]).is_err());
    }
}
