//! Names that somebody's program might give a file come back to the byte.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use anyhow::Result;
use testbed::Rclone;

use super::{assert_whole, backup, plain, restore, target, tree};

fn names() -> Vec<Vec<u8>> {
    let texts = [
        " leading",
        "trailing ",
        "two  blanks",
        "'single'",
        "\"double\"",
        "$HOME",
        "!bang",
        "-dash",
        "--help",
        "~",
        "#",
        "%41",
        "%2F",
        "+plus+",
        "a&b",
        "<tag>",
        "semi;colon",
        "back\\slash",
        "glob*?[a]{b,c}",
        "con:aux",
        "...",
        ".hidden",
        "no\u{0308}",
        "\u{e9}",
        "e\u{301}",
        "\u{1f9e0}",
        "\u{200f}rtl",
        "．",
        "．．",
        "＂＇",
        "␊",
        "␀",
        "null",
        "{dir}",
        "manifest.json",
        "dump.rdb.partial",
        "a.tmp~",
    ];
    let mut names: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    names.extend([
        b"\xff".to_vec(),
        b"a\xc3(b".to_vec(),
        b"\xed\xa0\x80".to_vec(),
        b"\x7f".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
    ]);
    // All control characters but the line feed, which moto cannot hold.
    names.extend(
        (1..0x20u8)
            .filter(|byte| *byte != b'\n')
            .map(|byte| vec![b'c', byte, b'c']),
    );
    names.push(vec![b'l'; 255]);
    names
}

fn names_come_back(rclone: Rclone) -> Result<()> {
    let bed = plain(rclone);
    let dir = bed.dataset("falkordb");
    let names = names();
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "each once"
    );
    for (number, name) in names.iter().enumerate() {
        let name = OsStr::from_bytes(name);
        fs::write(dir.join(name), format!("file {number}"))?;
        let below = dir.join("directories").join(name);
        fs::create_dir_all(&below)?;
        fs::write(below.join(name), format!("file {number} below"))?;
        fs::create_dir_all(dir.join("empty").join(name))?;
        fs::create_dir_all(dir.join("links"))?;
        std::os::unix::fs::symlink(name, dir.join("links").join(name))?;
    }
    let timestamp = backup(&bed);
    let to = target(&bed);
    restore(&bed, &to, &[], 0);
    assert_whole(&bed, &timestamp, &to);
    assert_eq!(tree::of(&to.join("falkordb")).len(), 5 * names.len() + 5);
    Ok(())
}

#[test]
fn every_name_comes_back_with_rclone_1_60() -> Result<()> {
    names_come_back(Rclone::Old)
}

#[test]
fn every_name_comes_back_with_rclone_1_75() -> Result<()> {
    names_come_back(Rclone::New)
}
