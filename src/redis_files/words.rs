//! Splits a line into words as the servers' `sdssplitargs` does, which reads AOF manifests.
//!
//! Hand-written since no shell's rules are the same: `"` knows `\xHH` and six letters, `'` knows
//! only `\'`, and a closing quote must end the word.

/// The words of a line; `None` where a quote is not closed or is followed by more of the word.
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, after) = word(rest)?;
        words.push(word);
        rest = after.trim_ascii_start();
    }
    Some(words)
}

fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [byte, ..] if byte.is_ascii_whitespace() => return Some((word, rest)),
            [quote @ (b'"' | b'\''), after @ ..] => {
                let after = quoted(*quote, after, &mut word)?;
                let ended = after.first().is_none_or(u8::is_ascii_whitespace);
                return ended.then_some((word, after));
            }
            [byte, after @ ..] => {
                word.push(*byte);
                rest = after;
            }
        }
    }
}

/// Reads up to the closing quote and returns what is behind it.
fn quoted<'a>(quote: u8, mut rest: &'a [u8], word: &mut Vec<u8>) -> Option<&'a [u8]> {
    loop {
        let (byte, after) = match rest {
            [byte, after @ ..] if *byte == quote => return Some(after),
            [b'\\', b'\'', after @ ..] if quote == b'\'' => (b'\'', after),
            [b'\\', b'x', high, low, after @ ..]
                if quote == b'"' && high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                (nibble(*high) << 4 | nibble(*low), after)
            }
            [b'\\', letter, after @ ..] if quote == b'"' => (unescape(*letter), after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        word.push(byte);
        rest = after;
    }
}

fn nibble(hex: u8) -> u8 {
    match hex {
        b'0'..=b'9' => hex - b'0',
        _ => (hex | 0x20) - b'a' + 10,
    }
}

fn unescape(letter: u8) -> u8 {
    match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    fn words(line: &str) -> Option<Vec<String>> {
        let words = split(line.as_bytes())?;
        Some(
            words
                .iter()
                .map(|word| word.escape_ascii().to_string())
                .collect(),
        )
    }

    #[test]
    fn words_and_quotes_are_read_as_the_servers_read_them() {
        for (line, expected) in [
            ("", vec![]),
            (" a\tb  c ", vec!["a", "b", "c"]),
            (r#""a b" 'c d'"#, vec!["a b", "c d"]),
            (
                r#""\x00\xfF\n\r\t\b\a\"\\\q""#,
                vec![r#"\x00\xff\n\r\t\x08\x07\"\\q"#],
            ),
            (r#"'a\'b\n'"#, vec![r"a\'b\\n"]),
            (r#"a"b c" """#, vec!["ab c", ""]),
            (r#""\xg1""#, vec!["xg1"]),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect();
            assert_eq!(words(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn a_quote_that_is_not_closed_or_does_not_end_its_word_is_an_error() {
        for line in [r#""a"#, "'a", r#""a"b"#, r"'a'b", r#""a\"#] {
            assert_eq!(words(line), None, "{line}");
        }
    }
}
