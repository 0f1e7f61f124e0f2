//! What must hold whatever the bytes and however they arrive.

use proptest::{collection::vec, prelude::*};

use super::{commands::SET, *};

fn any_role() -> impl Strategy<Value = Role> {
    prop_oneof![
        Just(Role::Rdb),
        Just(Role::Plain),
        Just(Role::AofManifest),
        any::<bool>().prop_map(|last| Role::AofBase { last }),
        any::<bool>().prop_map(|last| Role::AofIncrement { last }),
    ]
}

fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(SET.to_vec()),
        Just(rdb("REDIS0011", b"body")),
        Just(b"file a seq 1 type b\n".to_vec()),
        Just(b"*1\r\n$5\r\nMULTI\r\n".to_vec()),
        Just(b"*1\r\n$8\r\nMULTIPLE\r\n".to_vec()),
        Just(b"#TS:1\r\n".to_vec()),
        Just(vec![0; 20]),
        vec(any::<u8>(), 0..30),
    ];
    (vec(piece, 0..5), any::<prop::sample::Index>()).prop_map(|(pieces, cut)| {
        let mut file = pieces.concat();
        file.truncate(file.len() - cut.index(file.len() + 1) / 8);
        file
    })
}

proptest! {
    #[test]
    fn how_a_file_is_cut_into_chunks_changes_nothing(
        role in any_role(), file in any_file(), sizes in vec(0..40_usize, 0..20)
    ) {
        let mut inspector = Inspector::new(role);
        let mut rest = file.as_slice();
        for size in sizes {
            let (chunk, after) = rest.split_at(size.min(rest.len()));
            inspector.feed(chunk);
            rest = after;
        }
        inspector.feed(rest);
        prop_assert_eq!(inspector.finish(), whole(role, &file));
        prop_assert_eq!(inspect(role, &file, 1), whole(role, &file));
    }

    #[test]
    fn no_flipped_bit_of_a_dump_goes_unreported(
        magic in "REDIS00(0[5-9]|1[0-9])|VALKEY08[0-9]", body in vec(any::<u8>(), 0..300),
    ) {
        let file = rdb(&magic, &body);
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!is_clean(Role::Rdb, &flipped), "bit {}", bit);
        }
    }

    #[test]
    fn no_shortened_dump_passes(body in vec(any::<u8>(), 0..300)) {
        let file = rdb("REDIS0011", &body);
        for length in 0..file.len() {
            prop_assert!(!is_clean(Role::Rdb, &file[..length]), "{} bytes", length);
        }
    }
}
