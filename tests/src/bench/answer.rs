//! Rows of a query as text, and when two engines' rows are equal.

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use tokio_postgres::types::{FromSql, Type};

/// What the texts of a column are, as far as comparison cares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Whole numbers.
    Int,
    /// Exact numbers with this many digits after the point.
    Decimal(i32),
    /// Binary floating point.
    Float,
    /// Compared as text.
    Other,
}

impl Kind {
    /// Parses `int`, `decimal:2`, `float` or `other`, the names that `peer.py` writes.
    pub fn parse(name: &str) -> Self {
        match name.split_once(':') {
            Some(("decimal", scale)) => Self::Decimal(scale.parse().unwrap_or(0)),
            _ if name == "int" => Self::Int,
            _ if name == "float" => Self::Float,
            _ => Self::Other,
        }
    }

    fn is_number(self) -> bool {
        self != Self::Other
    }
}

/// All rows of one query.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// One per column.
    pub kinds: Vec<Kind>,
    /// Values as text; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
}

impl Answer {
    /// Turns record batches into an answer.
    pub fn from_batches(batches: &[RecordBatch]) -> anyhow::Result<Self> {
        let mut answer = Self::default();
        let options = FormatOptions::new().with_null("");
        for batch in batches {
            answer.kinds =
                batch.schema().fields().iter().map(|f| arrow_kind(f.data_type())).collect();
            let columns =
                batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &options));
            let columns = columns.collect::<Result<Vec<_>, _>>()?;
            for row in 0..batch.num_rows() {
                let cells = columns.iter().zip(batch.columns()).map(|(formatter, array)| {
                    (!array.is_null(row)).then(|| formatter.value(row).to_string())
                });
                answer.rows.push(cells.collect());
            }
        }
        Ok(answer)
    }

    /// Turns rows of the extended Postgres protocol (binary format) into an answer.
    pub fn from_pg(columns: &[Type], rows: &[tokio_postgres::Row]) -> anyhow::Result<Self> {
        let mut kinds: Vec<Kind> = columns.iter().map(pg_kind).collect();
        let mut texts = Vec::with_capacity(rows.len());
        for row in rows {
            let mut cells = Vec::with_capacity(columns.len());
            for (index, kind) in kinds.iter_mut().enumerate() {
                let cell: Option<Cell> = row.try_get(index)?;
                cells.push(cell.map(|cell| {
                    // The scale is not in the type, it travels with every value.
                    if let (Kind::Decimal(scale), Some(found)) = (&mut *kind, cell.scale) {
                        *scale = (*scale).max(found);
                    }
                    cell.text
                }));
            }
            texts.push(cells);
        }
        Ok(Self { kinds, rows: texts })
    }

    /// Returns the first difference to `other` regardless of the order of rows.
    ///
    /// Exact numbers of one scale and texts must be equal. Where one side is a float,
    /// or the scales differ (a division), numbers may differ by 1e-9 of their size
    /// plus one unit in the last place of the shorter decimal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.rows.len() != other.rows.len() {
            return Some(format!("{} rows, expected {}", self.rows.len(), other.rows.len()));
        }
        if self.rows.is_empty() {
            return None;
        }
        if self.kinds.len() != other.kinds.len() {
            return Some(format!("{} columns, expected {}", self.kinds.len(), other.kinds.len()));
        }
        let slack: Vec<Option<f64>> =
            self.kinds.iter().zip(&other.kinds).map(|(a, b)| slack(*a, *b)).collect();
        let (mine, theirs) = (self.sorted(&slack), other.sorted(&slack));
        for (index, (mine, theirs)) in mine.iter().zip(&theirs).enumerate() {
            for ((a, b), slack) in mine.iter().zip(theirs.iter()).zip(&slack) {
                if !equal(a.as_deref(), b.as_deref(), *slack) {
                    return Some(format!("sorted row {index}: {mine:?}, expected {theirs:?}"));
                }
            }
        }
        None
    }

    /// Rows ordered by the columns that must be equal, then by the approximate ones.
    fn sorted(&self, slack: &[Option<f64>]) -> Vec<&Vec<Option<String>>> {
        let mut rows: Vec<_> = self.rows.iter().collect();
        let text = |cell: &Option<String>| -> Option<String> {
            cell.as_deref().map(|t| plain(t).to_owned())
        };
        rows.sort_by(|a, b| {
            let cells = || a.iter().zip(b.iter()).zip(slack);
            let exact =
                cells().filter(|(_, s)| s.is_none()).map(|((x, y), _)| text(x).cmp(&text(y)));
            let close = cells()
                .filter(|(_, s)| s.is_some())
                .map(|((x, y), _)| number(x.as_deref()).total_cmp(&number(y.as_deref())));
            exact.chain(close).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
        });
        rows
    }
}

/// How far two numbers may be apart besides the relative tolerance; `None`: not at all.
fn slack(a: Kind, b: Kind) -> Option<f64> {
    use Kind::{Decimal, Float, Int};
    match (a, b) {
        _ if !a.is_number() || !b.is_number() => None,
        (Float, Decimal(s)) | (Decimal(s), Float) => Some(10f64.powi(-s)),
        (Float, _) | (_, Float) => Some(0.0),
        (Decimal(s), Decimal(t)) if s != t => Some(10f64.powi(-s.min(t))),
        // PostgreSQL returns EXTRACT and SUM over integers as numeric.
        (Int | Decimal(_), Int | Decimal(_)) => None,
        _ => None,
    }
}

fn equal(a: Option<&str>, b: Option<&str>, slack: Option<f64>) -> bool {
    match (a, b, slack) {
        (None, None, _) => true,
        (Some(a), Some(b), None) => plain(a) == plain(b),
        (Some(a), Some(b), Some(slack)) => {
            let (x, y) = (number(Some(a)), number(Some(b)));
            a == b || (x - y).abs() <= slack + 1e-9 * x.abs().max(y.abs())
        }
        _ => false,
    }
}

fn number(text: Option<&str>) -> f64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

/// A number without superfluous zeros; other text as it is, without padding at the end.
fn plain(text: &str) -> &str {
    let is_decimal =
        text.contains('.') && text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    if !is_decimal {
        return text.trim_end();
    }
    text.trim_end_matches('0').trim_end_matches('.')
}

fn arrow_kind(data_type: &DataType) -> Kind {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Kind::Decimal(i32::from(*scale)),
        other if other.is_integer() => Kind::Int,
        other if other.is_floating() => Kind::Float,
        _ => Kind::Other,
    }
}

fn pg_kind(column: &Type) -> Kind {
    match *column {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => Kind::Int,
        Type::FLOAT4 | Type::FLOAT8 => Kind::Float,
        Type::NUMERIC => Kind::Decimal(0),
        _ => Kind::Other,
    }
}

/// One value in binary format, turned into PostgreSQL's text.
#[derive(Debug)]
struct Cell {
    text: String,
    scale: Option<i32>,
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(
        column: &Type,
        raw: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let plain = |text: String| Ok(Self { text, scale: None });
        match *column {
            Type::BOOL => plain(if bool::from_sql(column, raw)? { "t" } else { "f" }.to_owned()),
            Type::INT2 => plain(i16::from_sql(column, raw)?.to_string()),
            Type::INT4 => plain(i32::from_sql(column, raw)?.to_string()),
            Type::INT8 => plain(i64::from_sql(column, raw)?.to_string()),
            Type::OID => plain(u32::from_sql(column, raw)?.to_string()),
            Type::FLOAT4 => plain(f32::from_sql(column, raw)?.to_string()),
            Type::FLOAT8 => plain(f64::from_sql(column, raw)?.to_string()),
            Type::DATE => plain(date(i32::from_be_bytes(raw.try_into()?))),
            Type::NUMERIC => numeric(raw).ok_or_else(|| "malformed numeric".into()),
            _ => plain(std::str::from_utf8(raw)?.to_owned()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// Days since 2000-01-01 as a date (civil-from-days of the proleptic Gregorian calendar).
fn date(days: i32) -> String {
    let z = i64::from(days) + 10_957 + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// PostgreSQL's numeric: digits in base 10000, weight of the first, sign, display scale.
fn numeric(raw: &[u8]) -> Option<Cell> {
    let mut words = raw.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]]));
    let (n_digits, weight, sign, scale) =
        (words.next()?, words.next()?, words.next()? as u16, words.next()?);
    if sign == 0xC000 {
        return Some(Cell { text: "NaN".to_owned(), scale: None });
    }
    let digits: Vec<i16> = words.collect();
    if digits.len() != usize::try_from(n_digits).ok()? {
        return None;
    }
    let digit = |position: i32| {
        let index = usize::try_from(i32::from(weight) - position).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or(0)
    };
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    let whole: String =
        (0..=i32::from(weight.max(0))).rev().map(|p| format!("{:04}", digit(p))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let n_groups = (i32::from(scale) + 3) / 4;
        let mut fraction: String = (1..=n_groups).map(|p| format!("{:04}", digit(-p))).collect();
        fraction.truncate(usize::try_from(scale).ok()?);
        text.push('.');
        text.push_str(&fraction);
    }
    Some(Cell { text, scale: Some(i32::from(scale)) })
}
