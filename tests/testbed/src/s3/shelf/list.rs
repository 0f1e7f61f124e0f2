//! ListObjects, version 1 and version 2, a page at a time.

use std::ops::Bound;

use super::Request;
use super::answer::{Answer, stamp, xml};
use super::store::Bucket;
use crate::http::encode;

const PAGE: usize = 1000;
/// Sorts behind every key that begins like what stands before it.
const LAST: char = char::MAX;

pub(super) fn answer(request: &Request<'_>, bucket: &Bucket) -> Answer {
    let asks = |name: &str| request.asks(name).unwrap_or_default();
    let (prefix, delimiter) = (asks("prefix"), asks("delimiter"));
    let second = asks("list-type") == "2";
    let after = match (second, asks("continuation-token")) {
        (true, "") => asks("start-after"),
        (true, token) => token,
        (false, _) => asks("marker"),
    };
    let max = asks("max-keys")
        .parse()
        .map_or(PAGE, |max: usize| max.min(PAGE));
    let url = asks("encoding-type") == "url";
    let name = |text: &str| if url { encode(text) } else { xml(text) };

    let mut text = format!(
        "<Name>{}</Name><Prefix>{}</Prefix><MaxKeys>{max}</MaxKeys>",
        xml(&request.bucket),
        name(prefix)
    );
    if !delimiter.is_empty() {
        text += &format!("<Delimiter>{}</Delimiter>", name(delimiter));
    }
    if url {
        text += "<EncodingType>url</EncodingType>";
    }
    // A page that ended with a folder goes on behind all that is in it.
    let in_folder = !delimiter.is_empty() && after.ends_with(delimiter);
    let mut at = if in_folder {
        format!("{after}{LAST}")
    } else {
        after.to_owned()
    };
    let mut bound = Bound::Excluded(at.as_str());
    if prefix > at.as_str() {
        bound = Bound::Included(prefix);
    }
    let mut range = bucket.range::<str, _>((bound, Bound::Unbounded));
    let (mut count, mut last, mut truncated) = (0, String::new(), false);
    while let Some((key, object)) = range.next() {
        let Some(rest) = key.strip_prefix(prefix) else {
            break;
        };
        if count == max {
            truncated = true;
            break;
        }
        count += 1;
        let folder = (!delimiter.is_empty())
            .then(|| rest.find(delimiter))
            .flatten();
        if let Some(end) = folder {
            let folder = &key[..prefix.len() + end + delimiter.len()];
            text += &format!(
                "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>",
                name(folder)
            );
            folder.clone_into(&mut last);
            at = format!("{folder}{LAST}");
            range = bucket.range::<str, _>((Bound::Excluded(at.as_str()), Bound::Unbounded));
            continue;
        }
        text += &format!(
            "<Contents><Key>{}</Key><LastModified>{}</LastModified><ETag>{}</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            name(key),
            stamp(object.modified),
            xml(&object.etag),
            object.size
        );
        key.clone_into(&mut last);
    }
    text += &format!("<IsTruncated>{truncated}</IsTruncated>");
    if second {
        text += &format!("<KeyCount>{count}</KeyCount>");
    }
    if truncated {
        let (tag, next) = if second {
            ("NextContinuationToken", xml(&last))
        } else {
            ("NextMarker", name(&last))
        };
        text += &format!("<{tag}>{next}</{tag}>");
    }
    Answer::xml(&format!(
        "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{text}</ListBucketResult>"
    ))
}
