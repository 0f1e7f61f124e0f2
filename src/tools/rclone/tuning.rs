//! How many transfers, how many parts, how large: chosen from the files at hand within the memory allowed.
//!
//! rclone holds every part that it is sending in memory, so what counts is the number of large files, not
//! the number of transfers: many small files may go at once, and large ones share what memory there is.

/// A running rclone's own need beside its parts: 49 MiB resident (1.60.1), and what varies.
const BASE: u64 = 52 << 20;
/// Files above this go in parts. S3 wants parts of at least 5 MiB; 16 MiB in one request costs a broken
/// connection little and spares a signature for each part.
const CUTOFF: u64 = 16 << 20;
/// As many requests at once as a link of 150 ms repays: 32 transfers took 9.2 s where the default 4 took 19.7 s.
const MOST_TRANSFERS: u64 = 32;
/// Beyond eight parts at once a file gains nothing on a gigabit link with a 4 MiB window a connection.
const MOST_PARTS: u64 = 8;
/// The smallest part that S3 accepts is 5 MiB.
const LEAST_CHUNK: u64 = 5 << 20;
/// Parts of the full size only where there is room for this many.
const LEAST_PARTS: u64 = 5;

/// What there is to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// How many.
    pub count: u64,
    /// How many go in parts.
    pub large: u64,
}

impl Files {
    /// Counts one more file of this size in bytes.
    pub fn add(&mut self, size: u64) {
        self.count += 1;
        self.large += u64::from(size > CUTOFF);
    }

    /// Without these.
    pub fn less(self, others: Self) -> Self {
        Self {
            count: self.count.saturating_sub(others.count),
            large: self.large.saturating_sub(others.large),
        }
    }
}

/// What rclone is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Files at once.
    pub transfers: u64,
    /// Parts of a file at once.
    pub concurrency: u64,
    /// Bytes in a part.
    pub chunk: u64,
}

impl Tuning {
    /// For one of `children` rclones that share `memory` bytes.
    pub fn choose(files: Files, memory: u64, children: u64) -> Self {
        let parts = (memory / children.max(1))
            .saturating_sub(BASE)
            .max(LEAST_CHUNK);
        let whole_mib = ((parts / LEAST_PARTS) >> 20) << 20;
        let chunk = whole_mib.clamp(LEAST_CHUNK, CUTOFF);
        let slots = parts / chunk;
        let at_once = files.large.clamp(1, slots);
        let transfers = match files.large > slots {
            // Every transfer may be a large file: no more of them than there is memory for.
            true => slots,
            false => files.count.clamp(4, MOST_TRANSFERS),
        };
        let concurrency = (slots / at_once.min(transfers)).clamp(1, MOST_PARTS);
        Self {
            transfers: transfers.min(MOST_TRANSFERS),
            concurrency,
            chunk,
        }
    }

    /// The flags.
    pub fn flags(self) -> Vec<String> {
        let mib = |bytes: u64| format!("{}M", bytes >> 20);
        let pairs = [
            ("--transfers", self.transfers.to_string()),
            ("--checkers", self.transfers.to_string()),
            ("--s3-upload-cutoff", mib(CUTOFF)),
            ("--s3-chunk-size", mib(self.chunk)),
            ("--s3-upload-concurrency", self.concurrency.to_string()),
            // Read-ahead for slow sources; ours is a local disk, and 16 MiB a transfer is our memory.
            ("--buffer-size", "0".to_owned()),
        ];
        pairs
            .into_iter()
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn parts_in_flight_never_exceed_the_memory_allowed(
            count in 0u64..300_000, large in 0u64..1000, memory in (64u64 << 20)..(8 << 30), children in 1u64..5,
        ) {
            let files = Files { count: count.max(large), large };
            let tuning = Tuning::choose(files, memory, children);
            let in_flight = tuning.transfers.min(large) * tuning.concurrency * tuning.chunk;
            let allowed = (memory / children).saturating_sub(BASE).max(LEAST_CHUNK);
            prop_assert!(in_flight <= allowed, "{tuning:?}: {in_flight} > {allowed}");
            prop_assert!(tuning.transfers >= 1 && tuning.concurrency >= 1 && tuning.chunk >= LEAST_CHUNK);
        }
    }

    #[test]
    fn many_small_files_go_many_at_once_and_few_large_ones_in_many_parts() {
        let small = Tuning::choose(
            Files {
                count: 20_000,
                large: 0,
            },
            256 << 20,
            2,
        );
        assert_eq!(small.transfers, 32);
        let large = Tuning::choose(Files { count: 2, large: 2 }, 256 << 20, 2);
        assert_eq!((large.transfers, large.concurrency), (4, 2));
    }
}
