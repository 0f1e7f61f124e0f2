//! The reader's vocabulary: strings, switches, counts and lists, each with its own complaint.
//!
//! A value of the wrong type is answered with the line as it should be written: TOML's quotation
//! marks are what people get wrong most.

use std::num::NonZeroU32;

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Refusal, quoted};
use super::reader::{At, Reader, Section};

impl<'a> Reader<'a> {
    /// A string that `parse` makes a value of.
    pub(super) fn text<T>(
        &mut self,
        section: &Section<'a>,
        key: &str,
        example: &str,
        parse: impl FnOnce(&str) -> Result<T, Refusal>,
    ) -> Option<At<T>> {
        let value = section.get(key)?;
        let offset = value.span().start;
        let path = section.key(key);
        let Some(text) = value.get_ref().as_str() else {
            let remedy = format!("write it like {key} = \"{example}\"");
            self.wrong_type(&path, value, "a string", remedy);
            return None;
        };
        match parse(text) {
            Ok(value) => Some(At { value, offset }),
            Err(refusal) => {
                self.note(offset, path, refusal);
                None
            }
        }
    }

    pub(super) fn switch(&mut self, section: &Section<'a>, key: &str) -> Option<bool> {
        let value = section.get(key)?;
        let switch = value.get_ref().as_bool();
        if switch.is_none() {
            let remedy = "write true or false, without quotation marks".to_owned();
            self.wrong_type(&section.key(key), value, "true or false", remedy);
        }
        switch
    }

    /// A whole number from 1 to `most`.
    pub(super) fn count(
        &mut self,
        section: &Section<'a>,
        key: &str,
        most: u32,
    ) -> Option<NonZeroU32> {
        let value = section.get(key)?;
        let path = section.key(key);
        let remedy = format!("write it like {key} = 30");
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong_type(&path, value, "a whole number", remedy);
            return None;
        };
        let count = u32::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|count| *count <= most)
            .and_then(NonZeroU32::new);
        if count.is_none() {
            let what = format!("must be between 1 and {most}, is {integer}");
            self.note(value.span().start, path, Refusal::new(what, remedy));
        }
        count
    }

    /// A list of strings, none of them empty or with a NUL in it.
    pub(super) fn texts(&mut self, section: &Section<'a>, key: &str) -> Option<Vec<At<&'a str>>> {
        let value = section.get(key)?;
        let path = section.key(key);
        let remedy = format!("write it like {key} = [\"…\", \"…\"]");
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(&path, value, "a list of strings", remedy);
            return None;
        };
        let mut texts = Some(Vec::new());
        for (index, element) in array.iter().enumerate() {
            let path = format!("{path}[{index}]");
            let offset = element.span().start;
            match element.get_ref().as_str() {
                Some(text) if !text.is_empty() && !text.contains('\0') => {
                    if let Some(texts) = &mut texts {
                        texts.push(At {
                            value: text,
                            offset,
                        });
                    }
                    continue;
                }
                Some(text) => {
                    let what = format!("must not be empty or contain NUL, is {}", quoted(text));
                    self.note(offset, path, Refusal::new(what, "leave it out"));
                }
                None => self.wrong_type(&path, element, "a string", remedy.clone()),
            }
            texts = None;
        }
        texts
    }

    /// Notes a value of another type than `wanted`.
    pub(super) fn wrong_type(
        &mut self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        wanted: &str,
        remedy: String,
    ) {
        let is = match value.get_ref() {
            DeValue::String(text) => format!("the string {}", quoted(text)),
            DeValue::Integer(number) => format!("the number {number}"),
            DeValue::Float(number) => format!("the number {number}"),
            DeValue::Boolean(switch) => switch.to_string(),
            DeValue::Datetime(_) => "a date".to_owned(),
            DeValue::Array(_) => "a list".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        };
        let refusal = Refusal::new(format!("must be {wanted}, is {is}"), remedy);
        self.note(value.span().start, key.to_owned(), refusal);
    }
}
