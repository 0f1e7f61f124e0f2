//! Commands: a program and its arguments, as a list and never as one line for a shell.

use super::paths::absolute;
use super::problem::{Refusal, quoted};
use super::reader::{At, Reader, Section};

/// A program and its arguments; never empty.
pub(super) fn command<'a>(
    reader: &mut Reader<'a>,
    section: &Section<'a>,
    key: &str,
) -> Option<At<Vec<String>>> {
    let words = reader.texts(section, key)?;
    let path = section.key(key);
    let Some(first) = words.first() else {
        let offset = section.offset_of(key);
        let refusal = Refusal::new(
            "must name a program, is empty",
            format!("write the program and its arguments, or leave {key} out"),
        );
        reader.note(offset, path, refusal);
        return None;
    };
    if let Err(refusal) = program(first.value) {
        reader.note(first.offset, format!("{path}[0]"), refusal);
        return None;
    }
    Some(At {
        offset: first.offset,
        value: words.iter().map(|word| word.value.to_owned()).collect(),
    })
}

/// The program of a command: an absolute path, or a bare name that is looked up in `PATH`.
fn program(text: &str) -> Result<(), Refusal> {
    if text.starts_with('/') {
        return absolute(text).map(drop);
    }
    if text.contains('/') || text.starts_with('-') || text.chars().any(char::is_control) {
        return Err(Refusal::new(
            format!(
                "a command begins with a program's name or absolute path, is {}",
                quoted(text)
            ),
            "a relative path would depend on where we are started: write the whole path",
        ));
    }
    Ok(())
}
