//! Names of types: from number to SQL text and back.

use super::{TypeInfo, type_by_catalog_name, type_info, types};

/// Names a type the way PostgreSQL's `format_type(oid, typmod)` does.
///
/// `None` for the modifier is SQL's NULL; with it `bpchar` reads `character`.
#[must_use]
pub fn format_type(oid: u32, modifier: Option<i32>) -> String {
    if oid == 0 {
        return "-".to_owned();
    }
    let Some(info) = type_info(oid) else {
        return "???".to_owned();
    };
    if info.is_array() {
        return format!("{}[]", format_type(info.element, modifier));
    }
    match modifier {
        Some(modifier) if modifier >= 0 => with_modifier(info, modifier),
        // Told that there is no length, these must not read as `character(1)` and `bit(1)`.
        Some(_) if oid == 1042 => "bpchar".to_owned(),
        Some(_) if oid == 1560 => "\"bit\"".to_owned(),
        Some(_) | None => info.sql_name.to_owned(),
    }
}

/// Puts the modifier where SQL has it: behind the name, or before `with time zone`.
fn with_modifier(info: &TypeInfo, modifier: i32) -> String {
    let name = info.sql_name;
    match info.oid {
        1042 | 1043 if modifier > 4 => format!("{name}({})", modifier - 4),
        1560 | 1562 => format!("{name}({modifier})"),
        1700 if modifier >= 4 => {
            let packed = modifier - 4;
            // The scale is an eleven-bit number with a sign.
            let scale = ((packed & 0x7ff) ^ 1024) - 1024;
            format!("{name}({},{scale})", (packed >> 16) & 0xffff)
        }
        1083 | 1114 | 1184 | 1266 => match name.split_once(' ') {
            Some((first, rest)) => format!("{first}({modifier}) {rest}"),
            None => name.to_owned(),
        },
        1186 => format!("{name}{}", interval_modifier(modifier)),
        _ => name.to_owned(),
    }
}

/// The fields and the precision of an interval: ` day to second(3)`.
fn interval_modifier(modifier: i32) -> String {
    let fields = match (modifier >> 16) & 0x7fff {
        0x0004 => " year",
        0x0002 => " month",
        0x0008 => " day",
        0x0400 => " hour",
        0x0800 => " minute",
        0x1000 => " second",
        0x0006 => " year to month",
        0x0408 => " day to hour",
        0x0c08 => " day to minute",
        0x1c08 => " day to second",
        0x0c00 => " hour to minute",
        0x1c00 => " hour to second",
        0x1800 => " minute to second",
        _ => "",
    };
    match modifier & 0xffff {
        0xffff => fields.to_owned(),
        precision => format!("{fields}({precision})"),
    }
}

/// Finds a type by a name as SQL spells it: `int4`, `integer`, `pg_catalog.int4`,
/// `timestamp(3) with time zone`, `varchar(10)[]`, `_text`.
///
/// `char` is `character`, as in SQL; the one-byte type is `"char"` or `pg_catalog.char`.
#[must_use]
pub fn type_by_name(name: &str) -> Option<&'static TypeInfo> {
    let name = normalized(name);
    if let Some(element) = name.strip_suffix("[]") {
        let mut element = element;
        while let Some(inner) = element.strip_suffix("[]") {
            element = inner.trim_end();
        }
        return type_info(type_by_name(element)?.array);
    }
    if let Some(name) = name.strip_prefix("pg_catalog.") {
        return type_by_catalog_name(name.trim_matches('"'));
    }
    if let Some(quoted) = name.strip_prefix('"') {
        return type_by_catalog_name(quoted.strip_suffix('"')?);
    }
    let synonym = match name.as_str() {
        "int" => "int4",
        "decimal" | "dec" => "numeric",
        "float" => "float8",
        "char" | "nchar" | "national character" | "national char" => "bpchar",
        "char varying" | "nchar varying" | "national character varying" => "varchar",
        "time" => "time",
        "timestamp" => "timestamp",
        other => other,
    };
    type_by_catalog_name(synonym)
        .or_else(|| types().iter().find(|info| info.sql_name == synonym && !info.is_array()))
}

/// Lower case outside of quotes, single spaces, no modifier.
fn normalized(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    let mut quoted = false;
    let mut depth = 0_usize;
    for c in name.trim().chars() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth = depth.saturating_sub(1);
                continue;
            }
            _ => {}
        }
        if depth > 0 {
            continue;
        }
        if c.is_whitespace() && !quoted {
            if !text.ends_with(' ') {
                text.push(' ');
            }
        } else if quoted {
            text.push(c);
        } else {
            text.push(c.to_ascii_lowercase());
        }
    }
    // Spaces may stand before a modifier and between brackets: `numeric (3)`, `int [ ]`.
    while text.ends_with(' ') {
        text.pop();
    }
    text.replace(" [", "[").replace("[ ", "[").replace(" ]", "]")
}
