//! Good inputs to begin with.

use tarn_server::fuzzing::PARAMETER_OIDS;

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind][..], &length, body].concat()
}

pub(super) fn messages() -> Vec<Vec<u8>> {
    let single = vec![
        message(b'Q', b"SELECT 1; SELECT 'x'\0"),
        message(b'P', b"s\0SELECT $1, $2\0\0\x02\0\0\0\x17\0\0\0\x19"),
        message(b'B', b"p\0s\0\0\x01\0\x01\0\x02\0\0\0\x04\0\0\0\x01\xff\xff\xff\xff\0\x01\0\x01"),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'D', b"Ss\0"),
        message(b'D', b"P\0"),
        message(b'C', b"Ss\0"),
        message(b'E', b"p\0\0\0\0\x05"),
        message(b'H', b""),
        message(b'S', b""),
        message(b'X', b""),
        message(b'd', b"1\tone\n2\ttwo\n"),
        message(b'c', b""),
        message(b'f', b"no more\0"),
        message(b'F', b"\0\0\x05\x2c\0\0\0\0\0\0"),
        message(b'p', b"secret\0"),
    ];
    let all = single.concat();
    single.into_iter().chain([all]).collect()
}

pub(super) fn startup() -> Vec<Vec<u8>> {
    let packet = |version: [u8; 4], body: &[u8]| [&version[..], body].concat();
    vec![
        packet([0, 3, 0, 0], b"user\0tarn\0database\0tarn\0\0"),
        packet([0, 3, 0, 2], b"user\0tarn\0DateStyle\0ISO, MDY\0TimeZone\0UTC\0\0"),
        packet([0, 3, 0x27, 0x0f], b"user\0tarn\0_pq_.shiny\x001\0\0"),
        packet([0, 3, 0, 0], b"user\0tarn\0options\0-c a=b -cx=y --a-b=c\\ d\0\0"),
        packet([0, 3, 0, 0], b"user\0tarn\0replication\0database\0\0"),
        packet([4, 0xd2, 0x16, 0x2f], b""),
        packet([4, 0xd2, 0x16, 0x2e], b"\0\0\0\x01\0\0\0\x02"),
    ]
}

pub(super) fn credentials() -> Vec<Vec<u8>> {
    let first = |mechanism: &str, data: &str| {
        let length = u32::try_from(data.len()).unwrap_or(0).to_be_bytes();
        message(b'p', &[mechanism.as_bytes(), b"\0", &length, data.as_bytes()].concat())
    };
    // Version, serial number, algorithm, issuer, validity, subject with a common name.
    let certificate = b"\x30\x1f\x30\x1d\xa0\x03\x02\x01\x02\x02\x01\x07\x30\x00\x30\x00\x30\x00\
        \x30\x0c\x31\x0a\x30\x08\x06\x03\x55\x04\x03\x0c\x01a";
    vec![
        first("SCRAM-SHA-256", "n,,n=,r=rOprNGfwEbeRWgbNEkqO"),
        first("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,n=,r=rOprNGfwEbeRWgbNEkqO"),
        first("SCRAM-SHA-256", "y,a=x,n=user,r=abc"),
        first(
            "SCRAM-SHA-256",
            "c=biws,r=rOprNGfwEbeRWgbNEkqO,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        ),
        message(b'p', b"SCRAM-SHA-256\0\xff\xff\xff\xff"),
        certificate.to_vec(),
    ]
}

/// Values of all types, each tried as every type.
pub(super) fn text_values() -> Vec<Vec<u8>> {
    let texts = [
        "t",
        "false",
        "0",
        "-32768",
        "2147483647",
        "-9223372036854775808",
        "1.5",
        "-0",
        "1e308",
        "NaN",
        "Infinity",
        "-Infinity",
        "123456789012345678901234567890.123456789",
        "1e-1000",
        "\\xdeadbeef",
        "\\001a\\\\",
        "text",
        "2026-11-21",
        "0044-03-15 BC",
        "infinity",
        "epoch",
        "2026-11-21 07:15:00.123456+02",
        "2026-11-21 07:15:00 Europe/Berlin",
        "24:00:00",
        "07:15:00-05",
        "1 year 2 mons -3 days 04:05:06.7",
        "P1Y2M3DT4H5M6.7S",
        "@ 1 day ago",
        "1-2 3 4:05:06",
        "{1,2,NULL}",
        "{{1,2},{3,4}}",
        "{\"a,b\",\"c\\\"d\"}",
        "[0:1]={1,2}",
        "{}",
        "{\"a\": [1, 2.5e3, null, \"\\u00e9\"]}",
        "[]",
        "null",
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",
        "1 2 3",
        "pg_class",
        "int4",
        "$1,234.56",
        "10.0.0.0/8",
        "08:00:2b:01:02:03",
        "1010",
        "(1,2)",
        "(a,\"b c\",)",
        "[1,10)",
        "",
    ];
    of_all_types(texts.iter().map(|text| text.as_bytes().to_vec()).collect())
}

pub(super) fn binary_values() -> Vec<Vec<u8>> {
    let number = |n: i64| n.to_be_bytes().to_vec();
    let array = |n_dimensions: i32, has_null: i32, oid: i32, rest: &[&[u8]]| {
        let head = [n_dimensions, has_null, oid].map(i32::to_be_bytes).concat();
        [head, rest.concat()].concat()
    };
    let one = [0, 0, 0, 1];
    let values = vec![
        vec![],
        vec![1],
        vec![0, 1],
        vec![0, 0, 0, 1],
        number(1),
        number(i64::MIN),
        number(i64::MAX),
        1.5_f64.to_be_bytes().to_vec(),
        f32::NAN.to_be_bytes().to_vec(),
        // 12345.678 as numeric: digits, weight, sign, scale.
        [3_i16, 1, 0, 3, 1, 2345, 6780].iter().flat_map(|n| n.to_be_bytes()).collect(),
        [0_u16, 0, 0xc000, 0].iter().flat_map(|n| n.to_be_bytes()).collect(),
        // An interval: microseconds, days, months. A time with its zone.
        [number(1_000_000), vec![0, 0, 0, 1, 0, 0, 0, 2]].concat(),
        [number(1_000_000), vec![0, 0, 0x1c, 0x20]].concat(),
        (0..16).collect(),
        b"\x01{\"a\": [1, null]}".to_vec(),
        b"text".to_vec(),
        array(0, 0, 23, &[]),
        array(1, 0, 23, &[&one, &one, &[0, 0, 0, 4], &one]),
        array(1, 1, 25, &[&[0, 0, 0, 2], &one, &[0, 0, 0, 1], b"x", &[0xff; 4]]),
        array(2, 0, 21, &[&one, &one, &one, &one, &[0, 0, 0, 2], &[0, 7]]),
        // A record: columns, then type, length and bytes of each.
        [&[0, 0, 0, 1][..], &[0, 0, 0, 23], &[0, 0, 0, 4], &one].concat(),
    ];
    of_all_types(values)
}

/// Rows of a number and a text in each form.
pub(super) fn copy_data() -> Vec<Vec<u8>> {
    let binary = [
        &b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0"[..],
        b"\0\x02\0\0\0\x04\0\0\0\x01\0\0\0\x01x",
        b"\0\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ];
    let files: [&[u8]; 6] = [
        b"1\tone\n2\t\\N\n\\N\ta\\tb\\x41\\101\\\n\n\\.\n",
        b"1,one\n2,\n,\"a,\"\"b\"\"\nc\"\n",
        b"a,b\n1,one\n2,\"x\\\"y\"\n",
        b"a\tb\r\n1\tone\r\n",
        &binary.concat(),
        b"",
    ];
    let forms = 0..u8::try_from(tarn_server::fuzzing::N_COPY_FORMS).unwrap_or(u8::MAX);
    forms.flat_map(|form| files.iter().map(move |file| [&[form][..], file].concat())).collect()
}

/// Each value once for each type, whose place is in front.
fn of_all_types(values: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let places = 0..u8::try_from(PARAMETER_OIDS.len()).unwrap_or(u8::MAX);
    places
        .flat_map(|place| values.iter().map(move |value| [&[place][..], value].concat()))
        .collect()
}
