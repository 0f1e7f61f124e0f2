//! Keys, every way in which they may be written down, and a look at everything that a run leaves.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use testbed::s3::{APP_KEY, KEY_ID};
use testbed::{Bed, Ran};

/// A value of the caller's, which nobody needs to see either.
pub const OPENAI: &str = "sk-ocb/only+the-export=knows-0042";
/// A key with every character that some notation writes differently.
pub const AWKWARD: &str = "K005/a???>>>+b\"c\\d%e=f?g&h0042";

/// The forms of one value in which some tool may print it.
pub fn forms(secret: &str) -> Vec<String> {
    let percent = |keep: &[u8], upper: bool| -> String {
        let encoded = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || keep.contains(&byte) => {
                char::from(byte).to_string()
            }
            byte if upper => format!("%{byte:02X}"),
            byte => format!("%{byte:02x}"),
        };
        secret.bytes().map(encoded).collect()
    };
    let json = serde_json::Value::from(secret).to_string();
    let json = json[1..json.len() - 1].to_owned();
    let mut forms = vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        URL_SAFE.encode(secret),
        percent(b"-._~", true),
        percent(b"-._~", false),
        // What Python's `quote` leaves alone by default.
        percent(b"-._~/", true),
        json.replace('/', "\\/"),
        json,
    ];
    // In base64 of a longer text, wherever in it the secret begins: the characters that are its alone.
    for before in 1..3 {
        let longer = [&[0; 2][..before], secret.as_bytes()].concat();
        let (start, end) = ((before * 8).div_ceil(6), longer.len() * 8 / 6);
        forms.push(STANDARD.encode(&longer)[start..end].to_owned());
    }
    forms
}

/// Every form of every secret of a plain bed.
pub fn all_forms() -> Vec<String> {
    let basic = format!("{KEY_ID}:{APP_KEY}");
    let secrets = [APP_KEY, KEY_ID, OPENAI, AWKWARD, &basic];
    let mut all: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    // base64 without its padding is found in base64 with it, and in a longer text's.
    all.iter_mut()
        .for_each(|form| form.truncate(form.trim_end_matches('=').len()));
    all
}

/// None of them is in this text.
#[track_caller]
pub fn is_clean(what: &str, text: &str) {
    for form in all_forms() {
        if let Some(at) = text.find(&form) {
            let start = text[..at].rfind('\n').map_or(0, |at| at + 1);
            let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
            panic!("{form} in {what}: {}", &text[start..end]);
        }
    }
}

/// What a run printed and wrote, the bucket's objects of ours included.
#[track_caller]
pub fn left_nothing(bed: &Bed, ran: &Ran) {
    is_clean("stdout", &ran.stdout);
    is_clean("stderr", &ran.stderr);
    is_clean(
        "the state file",
        &fs::read_to_string(bed.state_path()).unwrap_or_default(),
    );
    for key in bed.keys().expect("names") {
        let bytes = bed.s3().get(bed.bucket(), &key).expect("an answer");
        is_clean(&key, &key);
        is_clean(&key, &String::from_utf8_lossy(&bytes.unwrap_or_default()));
    }
    let known = [bed.env_path(), bed.script_path()];
    for dir in [
        bed.scratch(),
        &bed.scratch().join("state"),
        bed.snapshot_dir(),
    ] {
        for entry in fs::read_dir(dir).expect("a directory").flatten() {
            let path = entry.path();
            is_clean("a file's name", &path.to_string_lossy());
            if path.is_file()
                && !known.contains(&path)
                && path.metadata().is_ok_and(|m| m.len() < 1 << 20)
            {
                is_clean(&path.display().to_string(), &read(&path));
            }
        }
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The bed's variables and one that only the export needs, in the credentials' file.
pub fn with_openai(bed: &Bed, more: &[(&str, &str)]) {
    let all: Vec<_> = more
        .iter()
        .copied()
        .chain([("OPENAI_API_KEY", OPENAI)])
        .collect();
    bed.write_env(&all).expect("a file");
}
