//! How many transfers, how many parts, how large: chosen from the files at hand within the memory allowed.
//!
//! rclone holds every part that it is sending in memory, so what counts is the number of large files, not
//! the number of transfers: many small files may go at once, and large ones share what memory there is.

/// The pages of rclone's own file, which all of them share: 49 MiB (1.75.2).
const PROGRAM: u64 = 49 << 20;
/// A running rclone's own need beside them and its parts: 15 MiB when it has nothing to do (1.75.2).
const BASE: u64 = 16 << 20;
/// Files of this size and above go in parts. S3 wants parts of at least 5 MiB; 16 MiB in one request costs a broken
/// connection little and spares a signature for each part.
const CUTOFF: u64 = 16 << 20;
/// As many requests at once as a link of 150 ms repays: 2,000 files of 4 KiB took 11 s with 32 of them, 6.7 s with 64,
/// and 4.7 s with 128.
const MOST_TRANSFERS: u64 = 128;
/// What each of them takes: 1.75.2 had 100 MiB resident with 128 of them, which is 400 KiB each (1.60.1: 68 MiB).
const PER_TRANSFER: u64 = 400 << 10;
/// Bytes of a part: the least that S3 accepts. What counts over a long link is how many connections send: with the same
/// memory and 150 ms, parts of 8 MiB took 1.04 times as long for 2 GiB, and parts of 16 MiB 1.24 (1.60.1) and 1.57 times
/// as long as those of 8 for 512 MiB.
const CHUNK: u64 = 5 << 20;
/// Beyond sixteen parts at once a file gains nothing on a gigabit link with a 4 MiB window a connection.
const MOST_PARTS: u64 = 16;
/// S3's limit for one object. Where a file has more of them, rclone takes larger ones, in whole MiB.
const PARTS_OF_A_FILE: u64 = 10_000;

/// With room for fewer parts than that no further rclone is started.
const LEAST: u64 = 2;

/// What there is to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub count: u64,
    /// How many go in parts.
    pub large: u64,
    /// The largest one's size in bytes.
    pub largest: u64,
}

impl Files {
    /// Counts one more file of this size in bytes.
    pub(crate) fn add(&mut self, size: u64) {
        self.count += 1;
        self.large += u64::from(Self::is_large(size));
        self.largest = self.largest.max(size);
    }

    /// Whether a file of this size in bytes goes in parts.
    pub(crate) fn is_large(size: u64) -> bool {
        size >= CUTOFF
    }

    pub(crate) fn less(self, others: Self) -> Self {
        Self {
            count: self.count.saturating_sub(others.count),
            large: self.large.saturating_sub(others.large),
            largest: self.largest,
        }
    }

    /// Bytes of a part, by what the largest one needs.
    fn chunk(self) -> u64 {
        let least = self.largest.div_ceil(PARTS_OF_A_FILE);
        CHUNK.max(least.next_multiple_of(1 << 20))
    }
}

/// What the rclones of one run share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MemoryBudget {
    /// Bytes for all of them.
    pub memory: u64,
    /// How many there may be at once.
    pub children: u64,
    /// How many of them send files in parts, at the most.
    pub with_large: u64,
}

impl MemoryBudget {
    /// Among the uploads of these datasets.
    pub(crate) fn among(memory: u64, datasets: impl IntoIterator<Item = Files>) -> Self {
        let mut share = Self {
            memory,
            children: 0,
            with_large: 0,
        };
        let mut least = LEAST * CHUNK;
        for files in datasets {
            share.children += 1;
            share.with_large += u64::from(files.large > 0);
            least = least.max(files.chunk());
        }
        let most = (memory.saturating_sub(PROGRAM) / (BASE + least / 3 * 4)).max(1);
        share.children = share.children.clamp(1, most);
        share.with_large = share.with_large.min(most);
        share
    }

    /// How many rclones there may be at once.
    pub(crate) fn at_once(self) -> usize {
        usize::try_from(self.children).unwrap_or(usize::MAX)
    }

    /// What one of them may have beside its own need. Who sends small files alone leaves the rest to the others.
    fn of(self, files: Files) -> u64 {
        let children = self.children;
        // Its collector is late, and gets a quarter.
        let all = self.memory.saturating_sub(PROGRAM + children * BASE) / 4 * 3;
        let small = (all / children).min(MOST_TRANSFERS * PER_TRANSFER);
        match files.large {
            0 => small,
            _ => {
                let with_large = self.with_large.clamp(1, children);
                (all - (children - with_large) * small) / with_large
            }
        }
    }
}

/// What rclone is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuning {
    pub transfers: u64,
    /// Parts of a file at once.
    pub concurrency: u64,
    /// Bytes of a part.
    pub chunk: u64,
}

impl Tuning {
    /// For one of several rclones.
    pub(crate) fn choose(files: Files, share: MemoryBudget) -> Self {
        let chunk = files.chunk();
        let given = share.of(files);
        let room = given.max(chunk);
        // Small files beside large ones get a quarter, or what one part leaves.
        let for_small = match files.large {
            0 => given,
            _ => (given / 4).min(given.saturating_sub(chunk)),
        };
        let transfers = files
            .count
            .clamp(4, MOST_TRANSFERS)
            .min((for_small / PER_TRANSFER).max(4));
        let parts = if files.large < files.count {
            let small = transfers.min(files.count - files.large) * PER_TRANSFER;
            room - small.min(room - chunk)
        } else {
            room
        };
        let slots = parts / chunk;
        let at_once = files.large.clamp(1, slots);
        let transfers = if files.large > slots {
            // Every transfer may be a large file: no more of them than there is memory for.
            slots
        } else {
            transfers
        };
        let concurrency = (slots / at_once.min(transfers)).clamp(1, MOST_PARTS);
        Self {
            transfers,
            concurrency,
            chunk,
        }
    }

    pub(crate) fn flags(self) -> Vec<String> {
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

    fn files(count: u64, large: u64) -> Files {
        Files {
            count,
            large,
            largest: 1 << 20,
        }
    }

    proptest! {
        #[test]
        fn parts_in_flight_never_exceed_the_memory_allowed(
            each in proptest::collection::vec((0u64..300_000, 0u64..1000, 0u64..(1 << 42)), 1..40),
            memory in (64u64 << 20)..(8 << 30),
        ) {
            let each = each.into_iter().map(|(count, large, largest)| Files {
                largest,
                ..files(count.max(large), large)
            });
            let each: Vec<Files> = each.collect();
            let share = MemoryBudget::among(memory, each.iter().copied());
            for files in &each {
                let tuning = Tuning::choose(*files, share);
                // What rclone makes of it: no file has more parts than S3 allows.
                let chunk = tuning.chunk.max(files.largest.div_ceil(PARTS_OF_A_FILE));
                let allowed = share.of(*files).max(chunk);
                let large = tuning.transfers.min(files.large);
                let parts = large * tuning.concurrency * chunk;
                prop_assert!(parts <= allowed, "{tuning:?}: {parts} > {allowed}");
                // Four files are sent at once however little there is.
                let small = (tuning.transfers - large).min(files.count - files.large).saturating_sub(4);
                let in_flight = parts + small * PER_TRANSFER;
                prop_assert!(in_flight <= allowed, "{tuning:?}: {in_flight} > {allowed}");
                prop_assert!(tuning.transfers >= 1 && tuning.concurrency >= 1);
            }
            // Whichever of them go at once; one goes however little there is.
            let mut shares: Vec<u64> = each.iter().map(|files| share.of(*files).max(files.chunk())).collect();
            shares.sort();
            let all: u64 = shares.iter().rev().take(share.at_once()).sum();
            let allowed = memory.saturating_sub(PROGRAM + BASE * share.children);
            prop_assert!(all <= allowed || share.at_once() == 1, "{share:?}: {all} > {allowed}");
        }
    }

    #[test]
    fn many_small_files_go_many_at_once_and_few_large_ones_in_many_parts() {
        let alone = |files: Files| Tuning::choose(files, MemoryBudget::among(256 << 20, [files]));
        assert_eq!(alone(files(20_000, 0)).transfers, 128);
        let large = alone(files(2, 2));
        assert_eq!((large.transfers, large.concurrency), (4, 14));
    }

    #[test]
    fn a_file_too_large_for_ten_thousand_small_parts_goes_in_larger_ones_and_fewer_at_once() {
        let alone = |largest| {
            let files = Files {
                largest,
                ..files(2, 2)
            };
            Tuning::choose(files, MemoryBudget::among(256 << 20, [files]))
        };
        let (least, more) = (alone(10_000 * (5 << 20)), alone(10_000 * (5 << 20) + 1));
        assert_eq!((least.chunk, more.chunk), (5 << 20, 6 << 20));
        assert!(least.flags().join(" ").contains("--s3-chunk-size 5M"));
        let huge = alone(100 << 30);
        assert_eq!((huge.chunk, huge.concurrency), (11 << 20, 6));
    }

    #[test]
    fn who_sends_small_files_alone_takes_what_he_can_use_and_leaves_the_rest_to_the_others() {
        let all = [files(1, 1), files(2, 2), files(20_000, 0)];
        let share = MemoryBudget::among(1 << 30, all);
        let small = MOST_TRANSFERS * PER_TRANSFER;
        assert_eq!(share.of(all[2]), small);
        assert_eq!(
            share.of(all[0]),
            (((1 << 30) - PROGRAM - 3 * BASE) / 4 * 3 - small) / 2
        );
    }
}
