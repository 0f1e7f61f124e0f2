//! A command line as a POSIX shell would read it back, for the dry run and for errors.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

/// One word. What is not UTF-8 is written with `$'\xNN'`, which bash and zsh read.
pub(crate) fn word(word: &OsStr) -> String {
    let bytes = word.as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:=,+@%".contains(byte);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut out = String::from("$'");
            for &byte in bytes {
                match byte {
                    b'\'' | b'\\' => out.extend(['\\', char::from(byte)]),
                    b' '..=b'~' => out.push(char::from(byte)),
                    _ => out.push_str(&format!("\\x{byte:02x}")),
                }
            }
            out.push('\'');
            out
        }
    }
}

/// All the words, with blanks between.
pub(crate) fn line<'a>(words: impl IntoIterator<Item = &'a OsStr>) -> String {
    words.into_iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for bytes in [
            &b"plain/path.rdb"[..],
            b"",
            b"two words",
            b"it's",
            b"$HOME `x` \"y\"",
            b"a\nb\\",
            b"\xff\xfe'",
        ] {
            let quoted = word(OsStr::from_bytes(bytes));
            let output = std::process::Command::new("bash")
                .args(["-c", &format!("printf %s {quoted}")])
                .output()
                .expect("bash is there");
            assert_eq!(output.stdout, bytes, "{quoted}");
        }
    }
}
