//! Command streams: whole, torn at every byte, malformed at a known one.

use super::*;

pub(super) const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$4\r\n\r\n*\0\r\n";
const LAST: Role = Role::AofIncrement { last: true };
const EARLIER: Role = Role::AofIncrement { last: false };

#[test]
fn whole_commands_pass_in_every_aof_role() {
    let multi =
        b"#TS:1735732928\r\n*1\r\n$5\r\nMULTI\r\n*2\r\n$3\r\nDEL\r\n$0\r\n\r\n*1\r\n$4\r\nexec\r\n";
    let file = [SET, multi, SET, b"#TS:1\r\n"].concat();
    for role in [LAST, EARLIER, Role::AofBase { last: false }] {
        assert!(is_clean(role, &file));
        assert!(is_clean(role, b""));
        assert!(is_clean(role, &file[..SET.len()]));
    }
}

#[test]
fn a_torn_tail_is_a_warning_in_the_last_file_and_a_problem_before_it() {
    let multi = b"*1\r\n$5\r\nMULTI\r\n".as_slice();
    let whole_transaction_less_exec = [multi, SET].concat();
    let mut tails: Vec<&[u8]> = (1..SET.len()).map(|length| &SET[..length]).collect();
    tails.extend([multi, &whole_transaction_less_exec, b"#TS:17"]);
    for tail in tails {
        let file = [SET, tail].concat();
        let expected = format!("torn tail: {} bytes after offset {}", tail.len(), SET.len());
        for role in [LAST, Role::AofBase { last: true }] {
            assert!(the_warning(role, &file).starts_with(&expected), "{tail:?}");
        }
        assert!(the_problem(EARLIER, &file).starts_with("AOF truncated: its last"));
    }
}

#[test]
fn nul_bytes_at_the_end_of_the_last_file_are_a_torn_tail() {
    for tail in [
        b"".as_slice(),
        b"*",
        b"*3\r",
        b"*1\r\n$2\r\n",
        b"*1\r\n$2\r\nab",
        b"#TS:1",
    ] {
        let file = [SET, tail, &[0; 5000]].concat();
        let expected = format!(
            "torn tail: {} bytes after offset {}",
            file.len() - SET.len(),
            SET.len()
        );
        assert!(the_warning(LAST, &file).starts_with(&expected));
        assert!(the_problem(EARLIER, &file).contains("found 0x00"));
        the_problem(LAST, &[&file, SET].concat());
    }
}

#[test]
fn commands_malformed_in_the_middle_are_a_problem_at_their_offset() {
    for (bad, at, expected) in [
        (b"SET k v\r\n".as_slice(), 0, "expected a command"),
        (b"*0\r\n", 2, "expected a number of arguments"),
        (b"*-1\r\n", 1, "expected a number of arguments"),
        (b"*\r\n", 1, "expected a number of arguments"),
        (
            b"*9999999999999999999\r\n",
            19,
            "expected a number of arguments",
        ),
        (b"*1\n$4\r\nPING\r\n", 2, "expected a number of arguments"),
        (b"*1\r\r", 3, "expected \\n"),
        (
            b"*1\r\n+PING\r\n",
            4,
            "expected an argument ($), found 0x2b",
        ),
        (b"*1\r\n$-1\r\n", 5, "expected the length"),
        (
            b"*1\r\n$3\r\nPING\r\n",
            11,
            "expected \\r\\n after an argument",
        ),
        (
            &[&[b'#'; 1024][..], b"\n"].concat(),
            1022,
            "expected the end of an annotation",
        ),
    ] {
        let file = [SET, bad, SET].concat();
        for role in [LAST, EARLIER] {
            let problem = the_problem(role, &file);
            let offset = format!("at offset {}:", SET.len() + at);
            assert!(
                problem.contains(&offset) && problem.contains(expected),
                "{problem}"
            );
        }
    }
}
