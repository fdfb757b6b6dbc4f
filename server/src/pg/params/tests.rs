//! Both directions of both forms against what PostgreSQL 15 reads and writes, frozen here.

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema};
use bytes::BytesMut;
use tarn_catalog::pg_type::{FIELD_PG_TYPE, type_info};

use super::*;
use crate::pg::rows::{EncodeSettings, RowEncoder};

/// Reads a parameter in a session whose time zone is UTC.
fn decode_parameter(
    oid: u32,
    format: Format,
    bytes: Option<&[u8]>,
) -> Result<ScalarValue, ParamError> {
    decode_parameter_in(oid, format, bytes, &Zone::UTC)
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    parse_hex(text).unwrap()
}

/// Writes one value as a column of the given type, without the frame of its message.
fn encode(oid: u32, value: &ScalarValue, format: Format) -> Vec<u8> {
    let array: ArrayRef = value.to_array().unwrap();
    let name = type_info(oid).unwrap().name.to_owned();
    let metadata = [(FIELD_PG_TYPE.to_owned(), name)].into();
    let field = Field::new("c", array.data_type().clone(), true).with_metadata(metadata);
    let schema = std::sync::Arc::new(Schema::new(vec![field]));
    let encoder = RowEncoder::try_new(&schema, &[format], &EncodeSettings::default()).unwrap();
    let batch = RecordBatch::try_new(schema, vec![array]).unwrap();
    let mut out = BytesMut::new();
    encoder.encode(&batch, 0..1, &mut out).unwrap();
    assert_eq!(out[0], b'D');
    out[11..].to_vec()
}

#[test]
fn values_agree_with_postgresql() {
    let mut wrong = Vec::new();
    for (oid, input, text, binary) in CASES {
        let mut check = |what: &str, found: Result<ScalarValue, ParamError>| match found {
            Ok(value) => {
                let found_text = String::from_utf8(encode(*oid, &value, Format::Text)).unwrap();
                let found_binary = to_hex(&encode(*oid, &value, Format::Binary));
                if found_text != *text || found_binary != *binary {
                    wrong.push(format!(
                        "{oid} {input:?} {what}: {found_text} for {text}, \
                         {found_binary} for {binary}"
                    ));
                }
            }
            Err(error) => wrong.push(format!("{oid} {input:?} {what}: {error}")),
        };
        check("from text", decode_parameter(*oid, Format::Text, Some(input.as_bytes())));
        check("from binary", decode_parameter(*oid, Format::Binary, Some(&from_hex(binary))));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn errors_are_worded_as_by_postgresql() {
    for (oid, input, code, message) in ERRORS {
        let error = decode_parameter(*oid, Format::Text, Some(input.as_bytes())).unwrap_err();
        assert_eq!((error.code, error.message.as_str()), (*code, *message), "{oid} {input:?}");
    }
}

/// What no table of PostgreSQL's shows: limits of Arrow, bytes that are no text, other shapes.
#[test]
fn other_errors() {
    let code = |oid, format, bytes: &[u8]| match decode_parameter(oid, format, Some(bytes)) {
        Ok(value) => panic!("{oid} {bytes:?} is {value}"),
        Err(error) => error.code,
    };
    let text = |oid, text: &str| code(oid, Format::Text, text.as_bytes());
    assert_eq!(text(1700, "NaN"), "22003");
    assert_eq!(text(1700, &"9".repeat(77)), "22003");
    assert_eq!(text(1700, "1e999999999999"), "22003");
    assert_eq!(text(1114, "294276-12-31 23:59:59.999999"), "22008");
    assert_eq!(text(2249, "(1)"), "0A000");
    assert_eq!(text(1007, "{{{{{{{1}}}}}}}"), "22P02");
    assert_eq!(code(25, Format::Text, b"\xff"), "22021");
    assert_eq!(code(25, Format::Binary, b"a\0"), "22021");
    let error = decode_parameter(25, Format::Text, Some(b"a\xe2\x28\xa1")).unwrap_err();
    assert_eq!(error.message, "invalid byte sequence for encoding \"UTF8\": 0xe2 0x28 0xa1");
    for (oid, bytes) in
        [(23, "0000"), (23, "0000000000"), (16, ""), (2950, "00"), (3802, "00"), (3802, "")]
    {
        assert_eq!(code(oid, Format::Binary, &from_hex(bytes)), "22P03", "{oid} {bytes}");
    }
    // Counts that promise more than there is: groups of digits, elements, dimensions.
    assert_eq!(code(1700, Format::Binary, &from_hex("7fff000000000000")), "22P03");
    let elements = "000000010000000000000017ffffffff00000001";
    assert_eq!(code(1007, Format::Binary, &from_hex(elements)), "22P03");
    let elements = "0000000200000000000000177fffffff000000017fffffff00000001";
    assert_eq!(code(1007, Format::Binary, &from_hex(elements)), "22P03");
    assert_eq!(code(1007, Format::Binary, &from_hex("7fffffff0000000000000017")), "22P03");
    assert_eq!(code(1007, Format::Binary, &from_hex("000000000000000000000019")), "42804");
    assert_eq!(code(1114, Format::Binary, &[0x80, 0, 0, 0, 0, 0, 0, 1]), "22008");
    assert_eq!(code(600, Format::Binary, &[0; 16]), "0A000");
}

#[test]
fn special_values() {
    let decode = |oid, text: &str| decode_parameter(oid, Format::Text, Some(text.as_bytes()));
    assert_eq!(decode_parameter(23, Format::Binary, None), Ok(ScalarValue::Int32(None)));
    assert_eq!(decode_parameter(0, Format::Text, None), Ok(ScalarValue::Utf8(None)));
    assert_eq!(decode(0, "x"), Ok(ScalarValue::from("x")));
    assert_eq!(decode(99_999, "x"), Ok(ScalarValue::from("x")));
    assert_eq!(decode(1700, "-1.50"), Ok(ScalarValue::Decimal128(Some(-150), 3, 2)));
    assert_eq!(decode(1700, "0.001"), Ok(ScalarValue::Decimal128(Some(1), 3, 3)));
    // What Arrow cannot hold behind the point is rounded.
    let third = format!("0.{}", "6".repeat(100));
    let value = decode(1700, &third).unwrap();
    let expected = format!("0.{}7", "6".repeat(75));
    assert_eq!(encode(1700, &value, Format::Text), expected.into_bytes());
    assert_eq!(decode(2205, "1259"), Ok(ScalarValue::UInt32(Some(1259))));
    assert_eq!(decode(2206, "integer"), Ok(ScalarValue::UInt32(Some(23))));
    let array = decode(1231, "[1:2]={1.5,-20}").unwrap();
    assert_eq!(encode(1231, &array, Format::Text), b"{1.5,-20.0}");
    let zone = Zone::by_name("America/New_York").unwrap();
    let local = b"2024-01-05 10:00:00";
    let instant = decode_parameter_in(1184, Format::Text, Some(local), &zone).unwrap();
    assert_eq!(encode(1184, &instant, Format::Text), b"2024-01-05 15:00:00+00");
    let with_zone =
        decode_parameter(1266, Format::Binary, Some(&from_hex("0000000861c46800ffffb9b0")));
    assert_eq!(encode(1266, &with_zone.unwrap(), Format::Text), b"10:00:00+05");
    let bits = decode(1560, "x5").unwrap();
    assert_eq!(encode(1560, &bits, Format::Text), b"0101");
    assert_eq!(encode(1562, &bits, Format::Binary), from_hex("0000000450"));
    let bits = decode_parameter(1562, Format::Binary, Some(&from_hex("00000009ff80"))).unwrap();
    assert_eq!(encode(1562, &bits, Format::Text), b"111111111");
    let array = decode(1270, "{12:30:45.5-08,NULL}").unwrap();
    assert_eq!(encode(1270, &array, Format::Text), b"{12:30:45.5-08,NULL}");
    let summer = decode(1266, "2024-07-01 12:00 Europe/Berlin").unwrap();
    let binary = encode(1266, &summer, Format::Binary);
    assert_eq!(binary, from_hex("0000000a0eebb000ffffe3e0"));
}

/// A small generator of numbers, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }
}

#[test]
fn no_bytes_make_decoders_panic() {
    const ALPHABET: &[u8] = b"0123456789-+:.,eETPYMDS{}\"\\[]= abcnulxyz()/\xff\xc3\xa4";
    let mut random = Random(0x5eed_cafe_f00d_beef);
    let oids: Vec<u32> = pg_type::types().iter().map(|info| info.oid).collect();
    let decode = |oid, format, bytes: &[u8]| {
        if let Ok(value) = decode_parameter(oid, format, Some(bytes)) {
            let array = value.to_array().unwrap();
            let schema = std::sync::Arc::new(Schema::new(vec![Field::new(
                "c",
                array.data_type().clone(),
                true,
            )]));
            let batch = RecordBatch::try_new(std::sync::Arc::clone(&schema), vec![array]).unwrap();
            for format in [Format::Text, Format::Binary] {
                let settings = EncodeSettings::default();
                let encoder = RowEncoder::try_new(&schema, &[format], &settings).unwrap();
                let _: Result<(), _> = encoder.encode(&batch, 0..1, &mut BytesMut::new());
            }
        }
    };
    for _ in 0..200 {
        for oid in &oids {
            let length = random.below(40);
            let bytes: Vec<u8> =
                (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
            decode(*oid, Format::Binary, &bytes);
            let text: Vec<u8> =
                (0..length).map(|_| ALPHABET[random.below(ALPHABET.len())]).collect();
            decode(*oid, Format::Text, &text);
        }
    }
    // Nearly right forms go deeper.
    for _ in 0..40 {
        for (oid, input, _, binary) in CASES {
            for (format, mut bytes) in
                [(Format::Text, input.as_bytes().to_vec()), (Format::Binary, from_hex(binary))]
            {
                if bytes.is_empty() {
                    continue;
                }
                let at = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes.truncate(at),
                    1 => bytes.insert(at, ALPHABET[random.below(ALPHABET.len())]),
                    2 => bytes[at] = ALPHABET[random.below(ALPHABET.len())],
                    _ => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                }
                decode(*oid, format, &bytes);
            }
        }
    }
}

/// Type, input, output, binary form.
#[rustfmt::skip] // A line a value.
const CASES: &[(u32, &str, &str, &str)] = &[
    (16, "t", "t", "01"),
    (16, "true", "t", "01"),
    (16, " YES ", "t", "01"),
    (16, "on", "t", "01"),
    (16, "1", "t", "01"),
    (16, "off", "f", "00"),
    (16, "n", "f", "00"),
    (16, "FALSE", "f", "00"),
    (21, "0", "0", "0000"),
    (21, "-32768", "-32768", "8000"),
    (21, "32767", "32767", "7fff"),
    (21, " 42 ", "42", "002a"),
    (23, "2147483647", "2147483647", "7fffffff"),
    (23, "-2147483648", "-2147483648", "80000000"),
    (23, "+7", "7", "00000007"),
    (23, "007", "7", "00000007"),
    (20, "9223372036854775807", "9223372036854775807", "7fffffffffffffff"),
    (20, "-9223372036854775808", "-9223372036854775808", "8000000000000000"),
    (26, "4294967295", "4294967295", "ffffffff"),
    (26, "-1", "4294967295", "ffffffff"),
    (26, "0", "0", "00000000"),
    (701, "0", "0", "0000000000000000"),
    (701, "-0", "-0", "8000000000000000"),
    (701, "1", "1", "3ff0000000000000"),
    (701, "1.5", "1.5", "3ff8000000000000"),
    (701, "-2.25", "-2.25", "c002000000000000"),
    (701, "0.1", "0.1", "3fb999999999999a"),
    (701, "1e15", "1e+15", "430c6bf526340000"),
    (701, "1e14", "100000000000000", "42d6bcc41e900000"),
    (701, "123456789012345", "123456789012345", "42dc12218377de40"),
    (701, "1234567890123456", "1.234567890123456e+15", "43118b54f22aeb00"),
    (701, "1e16", "1e+16", "4341c37937e08000"),
    (701, "1e-4", "0.0001", "3f1a36e2eb1c432d"),
    (701, "0.00012", "0.00012", "3f1f75104d551d69"),
    (701, "1e-5", "1e-05", "3ee4f8b588e368f1"),
    (701, "1.2345e-7", "1.2345e-07", "3e8091b5aeffdb8e"),
    (701, "1e23", "9.999999999999999e+22", "44b52d02c7e14af6"),
    (701, "1e22", "1e+22", "4480f0cf064dd592"),
    (701, "5e-324", "5e-324", "0000000000000001"),
    (701, "1.7976931348623157e308", "1.7976931348623157e+308", "7fefffffffffffff"),
    (701, "2.2250738585072014e-308", "2.2250738585072014e-308", "0010000000000000"),
    (701, "9007199254740993", "9.007199254740992e+15", "4340000000000000"),
    (701, "100", "100", "4059000000000000"),
    (701, "12300000", "12300000", "416775dc00000000"),
    (701, "Infinity", "Infinity", "7ff0000000000000"),
    (701, "-inf", "-Infinity", "fff0000000000000"),
    (701, "NaN", "NaN", "7ff8000000000000"),
    (701, "0.30000000000000004", "0.30000000000000004", "3fd3333333333334"),
    (701, "3.141592653589793", "3.141592653589793", "400921fb54442d18"),
    (701, "-1e-10", "-1e-10", "bddb7cdfd9d7bdbb"),
    (701, "1e100", "1e+100", "54b249ad2594c37d"),
    (700, "1", "1", "3f800000"),
    (700, "1.5", "1.5", "3fc00000"),
    (700, "0.1", "0.1", "3dcccccd"),
    (700, "1e5", "100000", "47c35000"),
    (700, "1e6", "1e+06", "49742400"),
    (700, "123456", "123456", "47f12000"),
    (700, "1234567", "1.234567e+06", "4996b438"),
    (700, "16777216", "1.6777216e+07", "4b800000"),
    (700, "3.4028235e38", "3.4028235e+38", "7f7fffff"),
    (700, "1e-45", "1e-45", "00000001"),
    (700, "-0", "-0", "80000000"),
    (700, "1e-4", "0.0001", "38d1b717"),
    (700, "1e-5", "1e-05", "3727c5ac"),
    (700, "NaN", "NaN", "7fc00000"),
    (700, "-Infinity", "-Infinity", "ff800000"),
    (700, "0.3", "0.3", "3e99999a"),
    (700, "33554432", "3.3554432e+07", "4c000000"),
    (1700, "0", "0", "0000000000000000"),
    (1700, "0.00", "0.00", "0000000000000002"),
    (1700, "1", "1", "00010000000000000001"),
    (1700, "-1", "-1", "00010000400000000001"),
    (1700, "10000", "10000", "00010001000000000001"),
    (1700, "9999", "9999", "0001000000000000270f"),
    (1700, "12.50", "12.50", "0002000000000002000c1388"),
    (1700, "-0.0001", "-0.0001", "0001ffff400000040001"),
    (1700, "0.00012345", "0.00012345", "0002ffff0000000800010929"),
    (1700, "123456789.987654321", "123456789.987654321", "0006000200000009000109291a852694153803e8"),
    (1700, "99999999999999999999999999999999999999", "99999999999999999999999999999999999999", "000a0009000000000063270f270f270f270f270f270f270f270f270f"),
    (1700, "-99999999999999999999999999999999999.999", "-99999999999999999999999999999999999.999", "000a00084000000303e7270f270f270f270f270f270f270f270f2706"),
    (1700, "1e10", "10000000000", "00010002000000000064"),
    (1700, "1.5e-3", "0.0015", "0001ffff00000004000f"),
    (1700, ".5", "0.5", "0001ffff000000011388"),
    (1700, "5.", "5", "00010000000000000005"),
    (1700, "1000000", "1000000", "00010001000000000064"),
    (1700, "0.10000", "0.10000", "0001ffff0000000503e8"),
    (1700, "12345678901234567890123456789012345678901234567890.12345", "12345678901234567890123456789012345678901234567890.12345", "000f000c00000005000c0d801ed204d2162e23340d801ed204d2162e23340d801ed204d21388"),
    (1700, "100000000000000000000000000000000000000000000", "100000000000000000000000000000000000000000000", "0001000b000000000001"),
    (1700, "1e-30", "0.000000000000000000000000000001", "0001fff80000001e0064"),
    (1700, "-0", "0", "0000000000000000"),
    (1700, "+3.20", "3.20", "0002000000000002000307d0"),
    (1700, "0.1000000000000000055511151231257827021181583404541015625", "0.1000000000000000055511151231257827021181583404541015625", "000effff0000003703e8000000000000022b045b04cf0a120a8e049d16ca01c603f7186a"),
    (25, "", "", ""),
    (25, "a", "a", "61"),
    (25, "ü €", "ü €", "c3bc20e282ac"),
    (25, "  x ", "  x ", "20207820"),
    (25, "NULL", "NULL", "4e554c4c"),
    (1043, "abc", "abc", "616263"),
    (19, "n", "n", "6e"),
    (18, "x", "x", "78"),
    (17, "", "\\x", ""),
    (17, "\\x", "\\x", ""),
    (17, "\\x00ff", "\\x00ff", "00ff"),
    (17, "\\xDEADbeef", "\\xdeadbeef", "deadbeef"),
    (17, "a\\\\b\\000\\377", "\\x615c6200ff", "615c6200ff"),
    (17, "abc", "\\x616263", "616263"),
    (17, "\\x00 FF", "\\x00ff", "00ff"),
    (1082, "2024-01-05", "2024-01-05", "00002242"),
    (1082, "2000-01-01", "2000-01-01", "00000000"),
    (1082, "1999-12-31", "1999-12-31", "ffffffff"),
    (1082, "1970-01-01", "1970-01-01", "ffffd533"),
    (1082, "0001-01-01", "0001-01-01", "fff4dbf9"),
    (1082, "0044-03-15 BC", "0044-03-15 BC", "fff49d7b"),
    (1082, "4714-11-24 BC", "4714-11-24 BC", "ffda97a7"),
    (1082, "9999-12-31", "9999-12-31", "002c95d3"),
    (1082, "12345-06-07", "12345-06-07", "0039a81f"),
    (1082, "5874897-12-31", "5874897-12-31", "7fda970c"),
    (1082, "20240229", "2024-02-29", "00002279"),
    (1082, "2024-1-5", "2024-01-05", "00002242"),
    (1082, "2024-02-29 10:00:00", "2024-02-29", "00002279"),
    (1082, "1/5/2024", "2024-01-05", "00002242"),
    (1082, "epoch", "1970-01-01", "ffffd533"),
    (1082, "Jan 5 2024", "2024-01-05", "00002242"),
    (1082, "05-Jan-2024", "2024-01-05", "00002242"),
    (1082, "2024-060", "2024-02-29", "00002279"),
    (1083, "allballs", "00:00:00", "0000000000000000"),
    (1083, "00:00", "00:00:00", "0000000000000000"),
    (1083, "04:05:06", "04:05:06", "000000036c8bc080"),
    (1083, "04:05:06.789", "04:05:06.789", "000000036c97ca88"),
    (1083, "23:59:59.999999", "23:59:59.999999", "000000141dd75fff"),
    (1083, "24:00:00", "24:00:00", "000000141dd76000"),
    (1083, "10:00 PM", "22:00:00", "0000001270b01800"),
    (1083, "12:30 AM", "00:30:00", "000000006b49d200"),
    (1083, "04:05:06.1234565", "04:05:06.123456", "000000036c8da2c0"),
    (1083, "04:05:06.1234575", "04:05:06.123458", "000000036c8da2c2"),
    (1114, "2024-01-05 10:00:00", "2024-01-05 10:00:00", "0002b12eae0b2800"),
    (1114, "2024-01-05T10:00:00.5", "2024-01-05 10:00:00.5", "0002b12eae12c920"),
    (1114, "2000-01-01", "2000-01-01 00:00:00", "0000000000000000"),
    (1114, "1999-12-31 23:59:59.999999", "1999-12-31 23:59:59.999999", "ffffffffffffffff"),
    (1114, "0044-03-15 12:00:00.001 BC", "0044-03-15 12:00:00.001 BC", "ff1af9e8fb46d3e8"),
    (1114, "294246-12-31 23:59:59.999999", "294246-12-31 23:59:59.999999", "7ffca2465aa35fff"),
    (1114, "4714-11-24 00:00:00 BC", "4714-11-24 00:00:00 BC", "fd0f7cc1411fa000"),
    (1114, "2024-01-05 10:00:00+05", "2024-01-05 10:00:00", "0002b12eae0b2800"),
    (1114, "1970-01-01 00:00:00.000001", "1970-01-01 00:00:00.000001", "fffca2fec4c82001"),
    (1114, "2024-01-05 24:00:00", "2024-01-06 00:00:00", "0002b13a6a1e2000"),
    (1114, "1/5/2024 10:00", "2024-01-05 10:00:00", "0002b12eae0b2800"),
    (1184, "2024-01-05 10:00:00+00", "2024-01-05 10:00:00+00", "0002b12eae0b2800"),
    (1184, "2024-01-05T10:00:00Z", "2024-01-05 10:00:00+00", "0002b12eae0b2800"),
    (1184, "2024-01-05 10:00:00+05:30", "2024-01-05 04:30:00+00", "0002b12a11df2200"),
    (1184, "2024-01-05 10:00:00 America/New_York", "2024-01-05 15:00:00+00", "0002b132deed5c00"),
    (1184, "2024-07-05 10:00:00 america/new_york", "2024-07-05 14:00:00+00", "0002bf7f3f77f800"),
    (1184, "2024-01-05 10:00:00-0800", "2024-01-05 18:00:00+00", "0002b13562a84800"),
    (1184, "2024-01-05", "2024-01-05 00:00:00+00", "0002b1264c46c000"),
    (1184, "2024-01-05 10:00 PST", "2024-01-05 18:00:00+00", "0002b13562a84800"),
    (1184, "2024-03-10 02:30:00 America/New_York", "2024-03-10 07:30:00+00", "0002b64829496e00"),
    (1184, "2024-11-03 01:30:00 America/New_York", "2024-11-03 06:30:00+00", "0002c8fb10f10a00"),
    (1184, "0044-03-15 12:00:00+00 BC", "0044-03-15 12:00:00+00 BC", "ff1af9e8fb46d000"),
    (1184, "2024-01-05 10:00:00.123456+01", "2024-01-05 09:00:00.123456+00", "0002b12dd7796640"),
    (1186, "0", "00:00:00", "00000000000000000000000000000000"),
    (1186, "1 year 2 mons 3 days 04:05:06.789", "1 year 2 mons 3 days 04:05:06.789", "000000036c97ca88000000030000000e"),
    (1186, "-1 year -2 mons +3 days -04:05:06", "-1 years -2 mons +3 days -04:05:06", "fffffffc93743f8000000003fffffff2"),
    (1186, "1 day", "1 day", "00000000000000000000000100000000"),
    (1186, "-1 days", "-1 days", "0000000000000000ffffffff00000000"),
    (1186, "1 mon -1 day", "1 mon -1 days", "0000000000000000ffffffff00000001"),
    (1186, "1 year", "1 year", "0000000000000000000000000000000c"),
    (1186, "-1 year", "-1 years", "000000000000000000000000fffffff4"),
    (1186, "1.5 days", "1 day 12:00:00", "0000000a0eebb0000000000100000000"),
    (1186, "1.5 months", "1 mon 15 days", "00000000000000000000000f00000001"),
    (1186, "0.5 years", "6 mons", "00000000000000000000000000000006"),
    (1186, "1 week", "7 days", "00000000000000000000000700000000"),
    (1186, "3 4:05:06", "3 days 04:05:06", "000000036c8bc0800000000300000000"),
    (1186, "1-2", "1 year 2 mons", "0000000000000000000000000000000e"),
    (1186, "-1-2", "-1 years -2 mons", "000000000000000000000000fffffff2"),
    (1186, "P1Y2M3DT4H5M6S", "1 year 2 mons 3 days 04:05:06", "000000036c8bc080000000030000000e"),
    (1186, "PT0.5S", "00:00:00.5", "000000000007a1200000000000000000"),
    (1186, "P2W", "14 days", "00000000000000000000000e00000000"),
    (1186, "PT-1H", "-01:00:00", "ffffffff296c5c000000000000000000"),
    (1186, "1 hour ago", "-01:00:00", "ffffffff296c5c000000000000000000"),
    (1186, "@ 1 day 2 hours ago", "-1 days -02:00:00", "fffffffe52d8b800ffffffff00000000"),
    (1186, "90", "00:01:30", "00000000055d4a800000000000000000"),
    (1186, "2h", "02:00:00", "00000001ad2748000000000000000000"),
    (1186, "1 decade", "10 years", "00000000000000000000000000000078"),
    (1186, "100:00:00", "100:00:00", "00000053d1ac10000000000000000000"),
    (1186, "-00:00:01.5", "-00:00:01.5", "ffffffffffe91ca00000000000000000"),
    (1186, "1 day -00:00:01", "1 day -00:00:01", "fffffffffff0bdc00000000100000000"),
    (1186, "1 millisecond", "00:00:00.001", "00000000000003e80000000000000000"),
    (1186, "5 us", "00:00:00.000005", "00000000000000050000000000000000"),
    (1186, "-1 mon 1 day 1 second", "-1 mons +1 day 00:00:01", "00000000000f424000000001ffffffff"),
    (2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    (2950, "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    (2950, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    (114, "{\"a\" : 1}", "{\"a\" : 1}", "7b226122203a20317d"),
    (114, "[1,2]", "[1,2]", "5b312c325d"),
    (114, "\"x\"", "\"x\"", "227822"),
    (114, "null", "null", "6e756c6c"),
    (3802, "{\"a\": [1, 2]}", "{\"a\": [1, 2]}", "017b2261223a205b312c20325d7d"),
    (3802, "12", "12", "013132"),
    (1007, "{}", "{}", "000000000000000000000017"),
    (1007, "{1,2,3}", "{1,2,3}", "0000000100000000000000170000000300000001000000040000000100000004000000020000000400000003"),
    (1007, "{NULL,1}", "{NULL,1}", "0000000100000001000000170000000200000001ffffffff0000000400000001"),
    (1007, "{{1,2},{3,NULL}}", "{{1,2},{3,NULL}}", "00000002000000010000001700000002000000010000000200000001000000040000000100000004000000020000000400000003ffffffff"),
    (1007, "{{{1},{2}}}", "{{{1},{2}}}", "00000003000000000000001700000001000000010000000200000001000000010000000100000004000000010000000400000002"),
    (1007, " { 1 , 2 } ", "{1,2}", "000000010000000000000017000000020000000100000004000000010000000400000002"),
    (1007, "{null}", "{NULL}", "0000000100000001000000170000000100000001ffffffff"),
    (1009, "{a,\"b c\",NULL,\"NULL\",\"\",null,\"q\\\"q\",\"b\\\\s\",\"{\",\"a,b\"}", "{a,\"b c\",NULL,\"NULL\",\"\",NULL,\"q\\\"q\",\"b\\\\s\",\"{\",\"a,b\"}", "0000000100000001000000190000000a00000001000000016100000003622063ffffffff000000044e554c4c00000000ffffffff0000000371227100000003625c73000000017b00000003612c62"),
    (1009, "{\"null\"}", "{\"null\"}", "0000000100000000000000190000000100000001000000046e756c6c"),
    (1009, "{ü}", "{ü}", "000000010000000000000019000000010000000100000002c3bc"),
    (1009, "{{a,b},{c,d}}", "{{a,b},{c,d}}", "000000020000000000000019000000020000000100000002000000010000000161000000016200000001630000000164"),
    (1009, "{a b, c }", "{\"a b\",c}", "0000000100000000000000190000000200000001000000036120620000000163"),
    (1231, "{1.50,-20.00,NULL}", "{1.50,-20.00,NULL}", "0000000100000001000006a400000003000000010000000c0002000000000002000113880000000a00010000400000020014ffffffff"),
    (1231, "{0.25,-1.00}", "{0.25,-1.00}", "0000000100000000000006a400000002000000010000000a0001ffff0000000209c40000000a00010000400000020001"),
    (1022, "{1,1.5,NaN}", "{1,1.5,NaN}", "0000000100000000000002bd0000000300000001000000083ff0000000000000000000083ff8000000000000000000087ff8000000000000"),
    (1000, "{t,f,NULL}", "{t,f,NULL}", "000000010000000100000010000000030000000100000001010000000100ffffffff"),
    (1182, "{2024-01-05,\"0044-03-15 BC\"}", "{2024-01-05,\"0044-03-15 BC\"}", "00000001000000000000043a0000000200000001000000040000224200000004fff49d7b"),
    (1185, "{\"2024-01-05 10:00:00+00\"}", "{\"2024-01-05 10:00:00+00\"}", "0000000100000000000004a00000000100000001000000080002b12eae0b2800"),
    (1001, "{\"\\\\x00ff\",NULL}", "{\"\\\\x00ff\",NULL}", "00000001000000010000001100000002000000010000000200ffffffffff"),
    (2951, "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "000000010000000000000b86000000010000000100000010a0eebc999c0b4ef8bb6d6bb9bd380a11"),
    (1187, "{1 day,\"1 day 00:00:01\"}", "{\"1 day\",\"1 day 00:00:01\"}", "0000000100000000000004a2000000020000000100000010000000000000000000000001000000000000001000000000000f42400000000100000000"),
    (22, "1 2 3", "1 2 3", "0000000100000000000000150000000300000000000000020001000000020002000000020003"),
    (22, "", "", "0000000100000000000000150000000000000000"),
    (30, "23 25", "23 25", "00000001000000000000001a000000020000000000000004000000170000000400000019"),
    (1028, "{26,4294967295}", "{26,4294967295}", "00000001000000000000001a0000000200000001000000040000001a00000004ffffffff"),
    (1016, "{1}", "{1}", "0000000100000000000000140000000100000001000000080000000000000001"),
    (1005, "{1,-1}", "{1,-1}", "000000010000000000000015000000020000000100000002000100000002ffff"),
    (1021, "{1.5}", "{1.5}", "0000000100000000000002bc0000000100000001000000043fc00000"),
    (3807, "{\"{\\\"a\\\": 1}\"}", "{\"{\\\"a\\\": 1}\"}", "000000010000000000000eda000000010000000100000009017b2261223a20317d"),
    (1115, "{\"2024-01-05 10:00:00\"}", "{\"2024-01-05 10:00:00\"}", "00000001000000000000045a0000000100000001000000080002b12eae0b2800"),
    (1183, "{10:00}", "{10:00:00}", "00000001000000000000043b0000000100000001000000080000000861c46800"),
];

/// Type, input, code, message.
#[rustfmt::skip] // A line a value.
const ERRORS: &[(u32, &str, &str, &str)] = &[
    (23, "abc", "22P02", "invalid input syntax for type integer: \"abc\""),
    (23, "", "22P02", "invalid input syntax for type integer: \"\""),
    (23, "99999999999", "22003", "value \"99999999999\" is out of range for type integer"),
    (21, "-32769", "22003", "value \"-32769\" is out of range for type smallint"),
    (20, "x", "22P02", "invalid input syntax for type bigint: \"x\""),
    (16, "maybe", "22P02", "invalid input syntax for type boolean: \"maybe\""),
    (16, "o", "22P02", "invalid input syntax for type boolean: \"o\""),
    (701, "1e400", "22003", "\"1e400\" is out of range for type double precision"),
    (701, "1e-400", "22003", "\"1e-400\" is out of range for type double precision"),
    (701, "", "22P02", "invalid input syntax for type double precision: \"\""),
    (700, "1e39", "22003", "\"1e39\" is out of range for type real"),
    (1700, "1.2.3", "22P02", "invalid input syntax for type numeric: \"1.2.3\""),
    (1700, "1e", "22P02", "invalid input syntax for type numeric: \"1e\""),
    (1700, ".", "22P02", "invalid input syntax for type numeric: \".\""),
    (1700, "--1", "22P02", "invalid input syntax for type numeric: \"--1\""),
    (1082, "abc", "22007", "invalid input syntax for type date: \"abc\""),
    (1082, "2024-13-45", "22008", "date/time field value out of range: \"2024-13-45\""),
    (1082, "0000-01-01", "22008", "date/time field value out of range: \"0000-01-01\""),
    (1082, "5874898-01-01", "22008", "date out of range: \"5874898-01-01\""),
    (1082, "Feb 30 2024", "22008", "date/time field value out of range: \"Feb 30 2024\""),
    (1082, "2024-01", "22007", "invalid input syntax for type date: \"2024-01\""),
    (1083, "25:00", "22008", "date/time field value out of range: \"25:00\""),
    (1083, "10", "22007", "invalid input syntax for type time: \"10\""),
    (1114, "2024-01-01 10:00:00 nowhere", "22007", "invalid input syntax for type timestamp: \"2024-01-01 10:00:00 nowhere\""),
    (1114, "294277-01-01", "22008", "timestamp out of range: \"294277-01-01\""),
    (1184, "2024-01-01 xx", "22007", "invalid input syntax for type timestamp with time zone: \"2024-01-01 xx\""),
    (1186, "1 foo", "22007", "invalid input syntax for type interval: \"1 foo\""),
    (1186, "99999999999 years", "22015", "interval field value out of range: \"99999999999 years\""),
    (1186, "P", "22007", "invalid input syntax for type interval: \"P\""),
    (1186, "1 2 3 x", "22007", "invalid input syntax for type interval: \"1 2 3 x\""),
    (2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1", "22P02", "invalid input syntax for type uuid: \"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1\""),
    (114, "{", "22P02", "invalid input syntax for type json"),
    (17, "\\xg0", "22023", "invalid hexadecimal digit: \"g\""),
    (17, "\\x0", "22023", "invalid hexadecimal data: odd number of digits"),
    (17, "\\400", "22P02", "invalid input syntax for type bytea"),
    (1007, "1", "22P02", "malformed array literal: \"1\""),
    (1007, "{1}}", "22P02", "malformed array literal: \"{1}}\""),
    (1007, "{1,}", "22P02", "malformed array literal: \"{1,}\""),
    (1007, "{a}", "22P02", "invalid input syntax for type integer: \"a\""),
    (1007, "{{1},{1,2}}", "22P02", "malformed array literal: \"{{1},{1,2}}\""),
    (1007, "{{1},2}", "22P02", "malformed array literal: \"{{1},2}\""),
    (1007, "{1,{2}}", "22P02", "malformed array literal: \"{1,{2}}\""),
    (1007, "{\"1}", "22P02", "malformed array literal: \"{\"1}\""),
    (26, "4294967296", "22003", "value \"4294967296\" is out of range for type oid"),
    (2206, "nothing", "42704", "type \"nothing\" does not exist"),
];
