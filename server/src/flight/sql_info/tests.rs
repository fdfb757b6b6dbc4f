use arrow::array::AsArray;
use arrow::datatypes::UInt32Type;

use super::*;

const LIMITS: Limits = Limits { connections_max: 100, statement_bytes_max: 1 << 20 };

#[test]
fn has_every_entry_of_the_protocol() {
    let batch = rows(&[], LIMITS).unwrap();
    let numbers: BTreeSet<u32> =
        batch.column(0).as_primitive::<UInt32Type>().values().iter().copied().collect();
    // 6 and 7 are the versions of Substrait, which the server does not read.
    let expected = (0..=5).chain(8..=11).chain(100..=101).chain(500..=576).collect();
    assert_eq!(numbers, expected);
}

#[test]
fn returns_what_was_asked_for() {
    assert_eq!(rows(&[0, 1, 8, 1], LIMITS).unwrap().num_rows(), 3);
    assert_eq!(rows(&[6, 4_000_000_000], LIMITS).unwrap().num_rows(), 0);
}
