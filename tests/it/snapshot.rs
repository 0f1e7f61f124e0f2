//! The run, when nothing is wrong.

use crate::support::{bed, expect};

#[test]
fn a_first_run_stores_both_datasets_the_export_and_a_manifest() {
    let bed = bed();
    expect(&bed, &["run"], 0);
    let committed = bed.committed().expect("the bucket answers");
    assert_eq!(committed.len(), 1, "{committed:?}");
}
