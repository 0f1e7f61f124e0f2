//! What a listing needs of a manifest, read as a stream: a manifest of 200,000 files has 60 MB, and twenty of
//! them are read at once.

use std::io::Read;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{ExportRecord, FailedDataset, Head, Schema, Started, readable, stream};
use crate::timestamp::Timestamp;

/// What a listing needs of a manifest; the entries are skipped while reading.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "RawSummary")]
pub(crate) struct Summary {
    pub head: Head,
    /// When it was written.
    pub finished: String,
    /// Whether every dataset is in it.
    pub complete: bool,
    /// What came of the export.
    pub export: ExportRecord,
    /// The datasets that are not in it, and why.
    pub failed: Vec<FailedDataset>,
    /// The datasets in it.
    pub datasets: Vec<DatasetSummary>,
}

#[derive(Deserialize)]
struct RawSummary {
    #[serde(deserialize_with = "readable")]
    schema: Schema,
    tool: String,
    host: String,
    timestamp: Timestamp,
    started: String,
    finished: String,
    complete: bool,
    export: ExportRecord,
    #[serde(default)]
    failed: Vec<FailedDataset>,
    datasets: Vec<DatasetSummary>,
}

impl From<RawSummary> for Summary {
    fn from(raw: RawSummary) -> Self {
        Self {
            head: Head {
                schema: raw.schema,
                tool: raw.tool,
                host: raw.host,
                timestamp: raw.timestamp,
                started: raw.started,
            },
            finished: raw.finished,
            complete: raw.complete,
            export: raw.export,
            failed: raw.failed,
            datasets: raw.datasets,
        }
    }
}

/// What a listing needs of a dataset.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct DatasetSummary {
    pub name: String,
    /// Where its objects are.
    pub prefix: String,
    pub files: u64,
    pub bytes: u64,
    /// When the server last saved.
    pub data_time: Option<String>,
}

impl Summary {
    /// Reads every manifest in what `source` gives to the function that it is called with; of one that is asked for
    /// alone no more than [`LARGEST`](super::LARGEST) bytes.
    ///
    /// # Errors
    /// What `source` says, or where something is no manifest, or one of another major version.
    pub(crate) fn read(limit: u64, source: stream::Source<'_>) -> Result<Vec<Self>> {
        stream::parse(limit, |take| source(take), Self::parse)
    }

    /// The same for started marks.
    ///
    /// # Errors
    /// What `source` says, or where something is no mark.
    pub(crate) fn read_mark(limit: u64, source: stream::Source<'_>) -> Result<Vec<Started>> {
        stream::parse(
            limit,
            |take| source(take),
            |reader| {
                let marks = serde_json::Deserializer::from_reader(reader).into_iter::<Started>();
                marks
                    .map(|mark| mark.context("reading a started mark"))
                    .collect()
            },
        )
    }

    fn parse(reader: impl Read) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for summary in serde_json::Deserializer::from_reader(reader).into_iter::<Self>() {
            all.push(summary.context("reading a manifest")?);
        }
        Ok(all)
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
        Summary::read(u64::MAX, &mut |take| {
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
        assert!(format!("{other:#}").contains("has format 2"), "{other:#}");
        let text = manifest("2025-01-01T12-00-00Z", 1);
        assert!(read(&text[..text.len() / 2]).is_err());
    }
}
