//! Word lists of `GetSqlInfo`: keywords beyond SQL-92, and functions by their ODBC categories.

/// Words that PostgreSQL reserves and SQL-92 does not.
pub(super) const KEYWORDS: &[&str] = &[
    "analyse", "analyze", "array", "asymmetric", "binary", "concurrently", "current_catalog",
    "current_role", "current_schema", "do", "freeze", "ilike", "isnull", "lateral", "limit",
    "localtime", "localtimestamp", "notnull", "offset", "placing", "returning", "similar",
    "symmetric", "tablesample", "variadic", "verbose", "window",
];

pub(super) const NUMERIC_FUNCTIONS: &[&str] = &[
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "cos", "cot", "degrees", "exp",
    "factorial", "floor", "gcd", "lcm", "ln", "log", "log10", "log2", "nanvl", "pi", "power",
    "radians", "random", "round", "sign", "sin", "sqrt", "tan", "trunc",
];

pub(super) const STRING_FUNCTIONS: &[&str] = &[
    "ascii", "bit_length", "btrim", "char_length", "chr", "concat", "concat_ws", "initcap", "left",
    "length", "lower", "lpad", "ltrim", "md5", "octet_length", "overlay", "position",
    "regexp_like", "regexp_match", "regexp_replace", "repeat", "replace", "reverse", "right",
    "rpad", "rtrim", "split_part", "starts_with", "strpos", "substr", "substring", "to_hex",
    "translate", "trim", "upper",
];

pub(super) const SYSTEM_FUNCTIONS: &[&str] = &[
    "coalesce", "current_database", "current_schema", "current_setting", "current_user",
    "greatest", "least", "nullif", "pg_backend_pid", "session_user", "version",
];

pub(super) const DATETIME_FUNCTIONS: &[&str] = &[
    "current_date", "current_time", "current_timestamp", "date_bin", "date_part", "date_trunc",
    "extract", "make_date", "now", "to_char", "to_date", "to_timestamp",
];
