//! Object names, as rclone prints them.
//!
//! rclone stores a name with control characters, DEL and invalid UTF-8 replaced (B2 forbids bytes below 32),
//! and quotes with `‛` what looks like a replacement. For comparison we list with `--s3-encoding Slash`, which
//! undoes nothing, so that two different names never print alike; this module says how a file's name then
//! prints. The rules are those of rclone's "Restricted filenames and characters" page.

/// rclone's own quote, which does not survive the way: names that hold it are refused.
pub(crate) const QUOTE: char = '‛';

/// The encoding on every call that stores or fetches.
pub(crate) const STORE_ENCODING: &str = "Slash,Ctl,Del,InvalidUtf8,Dot";
/// The encoding on calls that list for comparison.
pub(crate) const LIST_ENCODING: &str = "Slash";

/// Why a path cannot be stored.
pub(crate) fn refusal(path: &[u8]) -> Option<String> {
    String::from_utf8_lossy(path)
        .contains(QUOTE)
        .then(|| format!("its name holds the character {QUOTE} (U+201B), which rclone uses as its own quote and does not give back"))
}

/// A path that rclone prints and reads as it is, whatever the encoding: fit for a list of names.
pub(crate) fn plain(path: &[u8]) -> Option<&str> {
    let path = str::from_utf8(path).ok()?;
    let as_it_is = |c: char| match c {
        '\\' => false,
        c if c.is_ascii() => !c.is_ascii_control(),
        // What stands for a character that an encoding replaces is among symbols and full-width forms.
        c => c.is_alphanumeric() && !('\u{FF00}'..='\u{FFEF}').contains(&c),
    };
    path.chars().all(as_it_is).then_some(path)
}

/// How the object of a path below the dataset prints in a listing for comparison.
pub(crate) fn listed(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for (index, component) in path.split(|byte| *byte == b'/').enumerate() {
        if index > 0 {
            out.push('/');
        }
        match component {
            // The full-width stop stands for "." where a whole name is dots.
            [0xEF, 0xBC, 0x8E] => out.push_str("‛．"),
            [0xEF, 0xBC, 0x8E, 0xEF, 0xBC, 0x8E] => out.push_str("‛．‛．"),
            component => push_component(&mut out, component),
        }
    }
    out
}

/// A path as rclone takes it on a command line: replaced there are control characters alone, since it then looks for
/// the name as a listing has it; what looks like a replacement is quoted.
pub(crate) fn given(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            let text = match c {
                '\u{2401}'..='\u{241F}' | '␡' => format!("{QUOTE}{c}"),
                '\u{7F}' => '␡'.to_string(),
                '\u{01}'..='\u{1F}' => char::from_u32(0x2400 + u32::from(c))
                    .unwrap_or(c)
                    .to_string(),
                c => c.to_string(),
            };
            out.extend(text.bytes());
        }
        out.extend(chunk.invalid());
    }
    out
}

/// Whether rclone finds an object again by the name that it lists for comparison: not where a quote in it is itself
/// quoted, as it is for invalid UTF-8 and for what looks like a replacement.
pub(crate) fn is_found_again(listed: &str) -> bool {
    !listed.contains("‛‛")
}

fn push_component(out: &mut String, component: &[u8]) {
    for chunk in component.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\u{01}'..='\u{1F}' => {
                    out.push(QUOTE);
                    out.push(char::from_u32(0x2400 + u32::from(c)).unwrap_or(c));
                }
                '\u{7F}' => out.extend([QUOTE, '␡']),
                '\u{2401}'..='\u{241F}' | '␡' => out.extend([QUOTE, QUOTE, QUOTE, c]),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.extend([QUOTE, QUOTE]);
            out.push_str(&format!("{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_print_as_rclone_1_60_and_1_75_print_them() {
        for (name, print) in [
            (&b"plain -[]{}*?'\" "[..], "plain -[]{}*?'\" "),
            (b"a\nb", "a‛␊b"),
            (b"c\x01d\x7f", "c‛␁d‛␡"),
            (b"e\xffz", "e‛‛FFz"),
            (b"\xe2\x80/\xff", "‛‛E2‛‛80/‛‛FF"),
            ("␊lit".as_bytes(), "‛‛‛␊lit"),
            ("␡".as_bytes(), "‛‛‛␡"),
            ("␀x".as_bytes(), "␀x"),
            ("／sl".as_bytes(), "／sl"),
            ("．/．．/..．".as_bytes(), "‛．/‛．‛．/..．"),
            ("\u{FFFD}".as_bytes(), "\u{FFFD}"),
        ] {
            assert_eq!(listed(name), print);
        }
    }

    #[test]
    fn a_plain_name_prints_as_it_is_and_stands_on_one_line() {
        for name in [
            "dump.rdb",
            "appendonlydir/a.aof",
            " # x ;",
            "ü/日本",
            "*?[]{}",
        ] {
            assert_eq!(plain(name.as_bytes()), Some(name));
            assert_eq!(listed(name.as_bytes()), name);
        }
        for name in [
            &b"a\nb"[..],
            b"\xff",
            "␊".as_bytes(),
            "．".as_bytes(),
            b"a\\b",
            b"\x7f",
            "‛".as_bytes(),
        ] {
            assert_eq!(plain(name), None);
        }
    }

    proptest! {
        #[test]
        fn two_names_never_print_alike(a in proptest::collection::vec(any::<u8>(), 0..8), b in proptest::collection::vec(any::<u8>(), 0..8)) {
            prop_assume!(a != b && refusal(&a).is_none() && refusal(&b).is_none());
            prop_assert_ne!(listed(&a), listed(&b));
        }
    }
}
