//! A cursor over parsed TOML that knows the path and the line of everything it hands out.
//!
//! Serde would stop at the first mistake. This one notes each and goes on with `None`, so that
//! one look shows everything. After a syntax error the tree is the parser's best guess: what then
//! looks wrong on the same line, or below a table header that could not be read, or merely by
//! being absent, is not reported, since it may be only the guess that is wrong.

use std::collections::BTreeSet;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue, Error};

use super::problem::{Problem, Problems, Refusal};
use super::schema;

/// Collects problems while values are taken out.
pub(super) struct Reader<'a> {
    text: &'a str,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
    found: Vec<(usize, Problem)>,
    /// Lines that are not TOML.
    broken: BTreeSet<usize>,
    /// The first of them that was meant as a table header: from there on nobody knows which
    /// table a key belongs to.
    lost: Option<usize>,
}

/// A table and the path to it; absent ones are empty, so that the defaults hold.
pub(super) struct Section<'a> {
    pub(super) path: String,
    table: Option<&'a DeTable<'a>>,
    /// Where it begins, in bytes.
    pub(super) offset: usize,
}

/// A value and where it stands, in bytes.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) offset: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str, errors: &[Error]) -> Self {
        let ends = text.match_indices('\n').map(|(end, _)| end + 1);
        let mut reader = Self {
            text,
            starts: std::iter::once(0).chain(ends).collect(),
            found: Vec::new(),
            broken: BTreeSet::new(),
            lost: None,
        };
        let (repeated, malformed): (Vec<_>, Vec<_>) = errors
            .iter()
            .map(|error| (error.span().unwrap_or_default().start, error.message()))
            .partition(|(_, message)| *message == "duplicate key");
        for (offset, message) in malformed {
            let line = reader.line(offset);
            // One slip makes several errors: the first on a line is the one to mend.
            if reader.broken.insert(line) {
                let what = format!("not valid TOML: {}", message.replace('\n', " "));
                let remedy = "mend the line; strings are written in quotation marks";
                reader.push(offset, String::new(), Refusal::new(what, remedy));
            }
        }
        let lines = 1..=reader.starts.len();
        let headers: Vec<usize> = lines
            .filter(|line| reader.line_text(*line).starts_with('['))
            .collect();
        let mut broken = headers.iter().filter(|line| reader.broken.contains(line));
        reader.lost = broken.next().copied();
        for (offset, _) in repeated {
            let key = reader.repeated_key(offset, &headers);
            reader.note(
                offset,
                key,
                Refusal::new("is there twice", "keep one of them"),
            );
        }
        reader
    }

    /// Whether some of the text is not TOML: what seems absent may only be unreadable.
    pub(super) fn has_syntax_errors(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Notes a problem, unless it may come from the parser's guesses.
    pub(super) fn note(&mut self, offset: usize, key: String, refusal: Refusal) {
        let line = self.line(offset);
        if !self.broken.contains(&line) && self.lost.is_none_or(|lost| line < lost) {
            self.push(offset, key, refusal);
        }
    }

    fn push(&mut self, offset: usize, key: String, refusal: Refusal) {
        let line = Some(self.line(offset));
        let Refusal { what, remedy } = refusal;
        self.found.push((
            offset,
            Problem {
                key,
                line,
                what,
                remedy,
            },
        ));
    }

    fn line(&self, offset: usize) -> usize {
        self.starts.partition_point(|start| *start <= offset)
    }

    fn line_text(&self, line: usize) -> &'a str {
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index));
        let rest = start.and_then(|start| self.text.get(*start..));
        rest.and_then(|rest| rest.lines().next())
            .unwrap_or_default()
            .trim()
    }

    /// The path of a key that is there twice; the parser names only its last part.
    fn repeated_key(&self, offset: usize, headers: &[usize]) -> String {
        let line = self.line(offset);
        let above = headers.partition_point(|header| *header <= line);
        let header = above.checked_sub(1).map(|index| headers[index]);
        let table = header.map_or("", |line| self.line_text(line));
        let table = table
            .trim_start_matches('[')
            .split(']')
            .next()
            .unwrap_or_default();
        if header == Some(line) {
            return table.trim().to_owned();
        }
        let rest = self.text.get(offset..).unwrap_or_default();
        let key = rest.split(['=', '\n']).next().unwrap_or_default().trim();
        if table.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", table.trim())
        }
    }

    /// `Ok` where nothing was found.
    pub(super) fn finish(mut self, source: &Path) -> Result<(), Problems> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(offset, _)| *offset);
        Err(Problems {
            source: Some(source.to_owned()),
            list: self.found.into_iter().map(|(_, problem)| problem).collect(),
        })
    }

    /// The document's root; its unknown keys are noted.
    pub(super) fn root(&mut self, document: &'a DeTable<'a>) -> Section<'a> {
        self.known(
            Section {
                path: String::new(),
                table: Some(document),
                offset: 0,
            },
            "",
        )
    }

    /// The table `key` of `parent`; its unknown keys are noted.
    pub(super) fn section(&mut self, parent: &Section<'a>, key: &str) -> Section<'a> {
        let section = self.table(parent, key);
        self.known(section, key)
    }

    /// The table `key` of `parent`, whose keys are names and not known ones.
    pub(super) fn table(&mut self, parent: &Section<'a>, key: &str) -> Section<'a> {
        let path = parent.key(key);
        let (table, offset) = match parent.get(key) {
            None => (None, parent.offset),
            Some(value) => {
                let example = format!("write it as a table: [{path}]");
                (self.as_table(&path, value, &example), value.span().start)
            }
        };
        Section {
            path,
            table,
            offset,
        }
    }

    fn as_table(
        &mut self,
        key: &str,
        value: &'a Spanned<DeValue<'a>>,
        remedy: &str,
    ) -> Option<&'a DeTable<'a>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.wrong_type(key, value, "a table", remedy.to_owned());
        }
        table
    }

    /// The entries of a table of tables: name, where the name stands, table.
    pub(super) fn entries(
        &mut self,
        section: &Section<'a>,
        schema: &str,
    ) -> Vec<(At<&'a str>, Section<'a>)> {
        let mut entries = Vec::new();
        for (name, value) in section.table.into_iter().flatten() {
            let path = section.key(name.get_ref());
            let remedy = format!("write it as a table: [{path}]");
            let table = self.as_table(&path, value, &remedy);
            let offset = value.span().start;
            let inner = Section {
                path,
                table,
                offset,
            };
            let name = At {
                value: name.get_ref().as_ref(),
                offset: name.span().start,
            };
            entries.push((name, self.known(inner, schema)));
        }
        entries
    }

    fn known(&mut self, section: Section<'a>, schema: &str) -> Section<'a> {
        for (key, _) in section.table.into_iter().flatten() {
            if let Some(refusal) = schema::unknown(schema, key.get_ref()) {
                self.note(key.span().start, section.key(key.get_ref()), refusal);
            }
        }
        section
    }
}

impl<'a> Section<'a> {
    /// The path of one of its keys.
    pub(super) fn key(&self, key: &str) -> String {
        let key = schema::shown_key(key);
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(key)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Whether there is such a table at all, and it is one.
    pub(super) fn exists(&self) -> bool {
        self.table.is_some()
    }

    /// Where a key's value stands; the table's beginning where it is absent.
    pub(super) fn offset_of(&self, key: &str) -> usize {
        self.get(key)
            .map_or(self.offset, |value| value.span().start)
    }
}
