use parquet::arrow::arrow_reader::RowSelector;

use super::*;

#[test]
fn decodes_names_of_vectors() {
    assert_eq!(
        relative_path("ab^-aqEH.-t@S}K{vb[*k^").unwrap(),
        "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
    );
    assert_eq!(
        relative_path("vBn[lx{q8@P<9BNH/isA").unwrap(),
        "deletion_vector_61d16c75-6994-46b7-a15b-8b538852e50e.bin"
    );
    assert_eq!(relative_path("short"), None);
    assert_eq!(relative_path("0123456789ü1234567890"), None);
    assert_eq!(decode_z85(&[0xff; 5]), None);
}

#[test]
fn checksum_is_that_of_zlib() {
    assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
}

#[test]
fn turns_deleted_rows_into_runs() {
    let check = |deleted: &[u64], n_rows: u64, expected: &[RowSelector]| {
        let bitmap: RoaringTreemap = deleted.iter().copied().collect();
        let selection = remaining_rows(&bitmap, n_rows).unwrap();
        assert_eq!(Vec::<RowSelector>::from(selection), expected, "{deleted:?}");
    };
    let (skip, select) = (RowSelector::skip, RowSelector::select);
    check(&[], 3, &[select(3)]);
    check(&[0, 1], 3, &[skip(2), select(1)]);
    check(&[1], 3, &[select(1), skip(1), select(1)]);
    check(&[2], 3, &[select(2), skip(1)]);
    check(&[0, 2, 3, 5], 6, &[skip(1), select(1), skip(2), select(1), skip(1)]);
    check(&[0, 1, 2], 3, &[skip(3)]);
    let beyond: RoaringTreemap = [3].into_iter().collect();
    assert!(remaining_rows(&beyond, 3).is_err());
}
