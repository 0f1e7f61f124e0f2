//! The syntax by example; each example was compared with systemd's own reader.

use proptest::prelude::*;

use super::*;

fn vars(text: &str) -> Vec<(String, String)> {
    parse(text.as_bytes())
        .ok()
        .unwrap()
        .vars
        .into_iter()
        .collect()
}

fn value(text: &str) -> String {
    let vars = vars(text);
    assert_eq!(vars.len(), 1, "{text:?} assigns {vars:?}");
    vars[0].1.clone()
}

fn ignored(text: &str) -> Vec<usize> {
    parse(text.as_bytes()).ok().unwrap().ignored
}

fn refusal(text: &[u8]) -> String {
    parse(text).err().unwrap().to_string()
}

#[test]
fn values_are_read_as_systemd_reads_them() {
    for (text, expected) in [
        ("A=b", "b"),
        ("A=", ""),
        ("A=\n", ""),
        ("  A \t=  b c \t \n", "b c"),
        ("A=b#c ;d\n", "b#c ;d"),
        ("A=b=c\n", "b=c"),
        ("A=b\r\n", "b"),
        ("A=b\\\nc\n", "bc"),
        ("A=b \\\n c\n", "b  c"),
        ("A=\\\n  b\n", "  b"),
        ("A=b\\ \n", "b "),
        ("A=b\\\\c\\n\n", "b\\cn"),
        ("A=b\\", "b"),
        ("A='b c' \n", "b c"),
        ("A='b\\nc\n#d'\n", "b\\nc\n#d"),
        ("A=' b '\n", " b "),
        ("A=\"b \\\"\\\\\\`\\$\\n\"\n", "b \"\\`$\\n"),
        ("A=\"b\\\nc\nd\"\n", "bc\nd"),
        ("A='b'\"c\" 'd'\n", "bcd"),
        ("A='b' c \n", "bc"),
        ("A=b'c'\"d\"\n", "b'c'\"d\""),
        ("A=\"b\nC=d\n", "b\nC=d\n"),
        ("A='b", "b"),
        ("A=b\nA=c\n", "c"),
        ("A=grün\n", "grün"),
    ] {
        assert_eq!(value(text), expected, "{text:?}");
    }
}

#[test]
fn comments_and_blank_lines_are_neither_assignments_nor_mistakes() {
    let text = "# A=1\n;B=2\n\n  # C=3\n \t\nD=4\r\n\r\n# a backslash ends nothing \\\nE=5\n";
    assert_eq!(
        vars(text),
        [("D".into(), "4".into()), ("E".into(), "5".into())]
    );
    assert!(ignored(text).is_empty());
}

#[test]
fn what_assigns_nothing_is_reported_by_its_line() {
    assert_eq!(
        ignored("OK=1\nnothing\n\nexport A=b\n1A=b\nA-B=c\nÄ=d\n=e\n=e=f\nlast"),
        [2, 4, 5, 6, 7, 8, 9, 10]
    );
    // The line on which the assignment begins, whatever it spans.
    assert_eq!(ignored("A='b\nc'\nB='\n\n'\nA B='c\nd'\nC\n"), [6, 8]);
    assert_eq!(ignored("\u{FEFF}A=b\nB=c\n"), [1]);
}

#[test]
fn what_systemd_refuses_is_refused_without_quoting_it() {
    let not_text = "not UTF-8 text, which systemd refuses";
    assert_eq!(refusal(b"A=b\nK=\xff\n"), format!("line 2: {not_text}"));
    assert_eq!(refusal(b"\xff=b\n"), format!("line 1: {not_text}"));
    assert_eq!(
        refusal("A=\u{FFFE}".as_bytes()),
        format!("line 1: {not_text}")
    );
    assert_eq!(
        refusal("A=\u{FDD0}".as_bytes()),
        format!("line 1: {not_text}")
    );
    assert_eq!(refusal(b"#\n#\0\n"), "line 2: a NUL byte");
    assert!(parse(b"# \xff\nA=b\n").is_ok());
}

proptest! {
    #[test]
    fn any_text_survives_single_and_double_quotes(text in "[^\0\u{FDD0}-\u{FDEF}\u{FFFE}\u{FFFF}]*") {
        let text: String = text.chars().filter(|c| u32::from(*c) & 0xFFFE != 0xFFFE).collect();
        let mut double = text.clone();
        for special in ["\\", "\"", "`", "$"] {
            double = double.replace(special, &format!("\\{special}"));
        }
        prop_assert_eq!(value(&format!("A=\"{double}\"\n")), text.clone());
        let single = text.replace('\'', "'\"'\"'");
        prop_assert_eq!(value(&format!("A='{single}'\n")), text);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }
}
