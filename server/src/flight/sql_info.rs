//! What `GetSqlInfo` tells clients about the server and its SQL.
//!
//! Source: `FlightSql.proto` of Apache Arrow, enum `SqlInfo`; every entry of it but the two about
//! Substrait versions has a value here. ADBC asks for entry 8 before it begins a transaction.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity,
    SqlSupportedGroupBy, SqlSupportedResultSetConcurrency, SqlSupportedResultSetType,
    SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions, SqlSupportsConvert,
    SqlTransactionIsolationLevel, SupportedSqlGrammar,
};

#[cfg(test)]
mod tests;
mod words;

/// The longest identifier, in bytes, as in PostgreSQL.
const IDENTIFIER_BYTES_MAX: i64 = 63;

/// What a numeric limit says when there is none.
const UNLIMITED: i64 = 0;

/// Limits that other parts of the server set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Connections at a time.
    pub(super) connections_max: usize,
    /// Bytes of a statement.
    pub(super) statement_bytes_max: usize,
}

/// Returns the entries that were asked for, all of them when none were named.
///
/// # Errors
/// None that the entries below can cause.
pub(super) fn rows(asked: &[u32], limits: Limits) -> Result<RecordBatch, FlightError> {
    let asked: BTreeSet<u32> = asked.iter().copied().collect();
    let mut builder = SqlInfoDataBuilder::new();
    for (info, value) in entries(limits) {
        let number = u32::try_from(i32::from(info)).unwrap_or(u32::MAX);
        if asked.is_empty() || asked.contains(&number) {
            match value {
                Value::Text(text) => builder.append(number, text),
                Value::Bool(value) => builder.append(number, value),
                Value::Number(value) => builder.append(number, value),
                Value::Bits(mask) => builder.append(number, mask),
                Value::List(words) => builder.append(number, words),
                Value::Map(map) => builder.append(number, map),
            }
        }
    }
    let table = builder.build()?;
    table.record_batch(None)
}

fn entries(limits: Limits) -> Vec<Entry> {
    let mut entries = server();
    entries.extend(syntax());
    entries.extend(features());
    entries.extend(sizes(limits));
    entries.extend(transactions());
    entries
}

/// The forms that values have.
enum Value {
    Text(&'static str),
    Bool(bool),
    Number(i64),
    Bits(i32),
    List(&'static [&'static str]),
    Map(BTreeMap<i32, Vec<i32>>),
}

type Entry = (SqlInfo, Value);

fn text(value: &'static str) -> Value {
    Value::Text(value)
}

fn bool(value: bool) -> Value {
    Value::Bool(value)
}

fn number(value: i64) -> Value {
    Value::Number(value)
}

fn bits(bits: &[i32]) -> Value {
    Value::Bits(bits.iter().fold(0, |mask, bit| mask | (1 << bit)))
}

fn ordinal(value: i32) -> Value {
    Value::Bits(value)
}

fn list(words: &'static [&'static str]) -> Value {
    Value::List(words)
}

fn server() -> Vec<Entry> {
    use SqlInfo as I;
    vec![
        (I::FlightSqlServerName, text("tarn")),
        (I::FlightSqlServerVersion, text(env!("CARGO_PKG_VERSION"))),
        (I::FlightSqlServerArrowVersion, text("59.3")),
        (I::FlightSqlServerReadOnly, bool(false)),
        (I::FlightSqlServerSql, bool(true)),
        (I::FlightSqlServerSubstrait, bool(false)),
        (I::FlightSqlServerTransaction, ordinal(SqlSupportedTransaction::Transaction as i32)),
        (I::FlightSqlServerCancel, bool(true)),
        (I::FlightSqlServerBulkIngestion, bool(false)),
        (I::FlightSqlServerIngestTransactionsSupported, bool(false)),
        (I::FlightSqlServerStatementTimeout, ordinal(0)),
        (I::FlightSqlServerTransactionTimeout, ordinal(0)),
    ]
}

fn syntax() -> Vec<Entry> {
    use SqlInfo as I;
    use SqlSupportedCaseSensitivity as Case;
    vec![
        (I::SqlDdlCatalog, bool(false)),
        (I::SqlDdlSchema, bool(false)),
        (I::SqlDdlTable, bool(true)),
        (I::SqlIdentifierCase, number(Case::SqlCaseSensitivityLowercase as i64)),
        (I::SqlIdentifierQuoteChar, text("\"")),
        // The protocol has no word for "as written"; this is what other servers with
        // PostgreSQL's rules answer.
        (I::SqlQuotedIdentifierCase, number(Case::SqlCaseSensitivityUnknown as i64)),
        (I::SqlAllTablesAreSelectable, bool(true)),
        (I::SqlNullOrdering, number(SqlNullOrdering::SqlNullsSortedHigh as i64)),
        (I::SqlKeywords, list(words::KEYWORDS)),
        (I::SqlNumericFunctions, list(words::NUMERIC_FUNCTIONS)),
        (I::SqlStringFunctions, list(words::STRING_FUNCTIONS)),
        (I::SqlSystemFunctions, list(words::SYSTEM_FUNCTIONS)),
        (I::SqlDatetimeFunctions, list(words::DATETIME_FUNCTIONS)),
        (I::SqlSearchStringEscape, text("\\")),
        (I::SqlExtraNameCharacters, text("$")),
        (I::SqlSchemaTerm, text("schema")),
        (I::SqlProcedureTerm, text("function")),
        (I::SqlCatalogTerm, text("database")),
        (I::SqlCatalogAtStart, bool(true)),
    ]
}

fn features() -> Vec<Entry> {
    use SqlInfo as I;
    use SqlSupportedGroupBy as Group;
    use SqlSupportedSubqueries as Sub;
    vec![
        (I::SqlSupportsColumnAliasing, bool(true)),
        (I::SqlNullPlusNullIsNull, bool(true)),
        (I::SqlSupportsConvert, Value::Map(conversions())),
        (I::SqlSupportsTableCorrelationNames, bool(true)),
        (I::SqlSupportsDifferentTableCorrelationNames, bool(false)),
        (I::SqlSupportsExpressionsInOrderBy, bool(true)),
        (I::SqlSupportsOrderByUnrelated, bool(true)),
        (
            I::SqlSupportedGroupBy,
            bits(&[Group::SqlGroupByUnrelated as i32, Group::SqlGroupByBeyondSelect as i32]),
        ),
        (I::SqlSupportsLikeEscapeClause, bool(true)),
        (I::SqlSupportsNonNullableColumns, bool(true)),
        (
            I::SqlSupportedGrammar,
            bits(&[
                SupportedSqlGrammar::SqlMinimumGrammar as i32,
                SupportedSqlGrammar::SqlCoreGrammar as i32,
            ]),
        ),
        (I::SqlAnsi92SupportedLevel, bits(&[0])),
        (I::SqlSupportsIntegrityEnhancementFacility, bool(false)),
        (
            I::SqlOuterJoinsSupportLevel,
            bits(&[
                SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins as i32,
                SqlOuterJoinsSupportLevel::SqlFullOuterJoins as i32,
            ]),
        ),
        (I::SqlSchemasSupportedActions, bits(&[])),
        (I::SqlCatalogsSupportedActions, bits(&[])),
        (I::SqlSupportedPositionedCommands, bits(&[])),
        (I::SqlSelectForUpdateSupported, bool(false)),
        (I::SqlStoredProceduresSupported, bool(false)),
        (
            I::SqlSupportedSubqueries,
            bits(&[
                Sub::SqlSubqueriesInComparisons as i32,
                Sub::SqlSubqueriesInExists as i32,
                Sub::SqlSubqueriesInIns as i32,
                Sub::SqlSubqueriesInQuantifieds as i32,
            ]),
        ),
        (I::SqlCorrelatedSubqueriesSupported, bool(true)),
        (
            I::SqlSupportedUnions,
            bits(&[SqlSupportedUnions::SqlUnion as i32, SqlSupportedUnions::SqlUnionAll as i32]),
        ),
        (I::SqlBatchUpdatesSupported, bool(true)),
        (I::SqlSavepointsSupported, bool(false)),
        (I::SqlNamedParametersSupported, bool(false)),
        (I::SqlLocatorsUpdateCopy, bool(false)),
        (I::SqlStoredFunctionsUsingCallSyntaxSupported, bool(false)),
    ]
}

fn sizes(limits: Limits) -> Vec<Entry> {
    use SqlInfo as I;
    let limit = |value: usize| number(i64::try_from(value).unwrap_or(UNLIMITED));
    vec![
        (I::SqlMaxBinaryLiteralLength, number(UNLIMITED)),
        (I::SqlMaxCharLiteralLength, number(UNLIMITED)),
        (I::SqlMaxColumnNameLength, number(IDENTIFIER_BYTES_MAX)),
        (I::SqlMaxColumnsInGroupBy, number(UNLIMITED)),
        (I::SqlMaxColumnsInIndex, number(UNLIMITED)),
        (I::SqlMaxColumnsInOrderBy, number(UNLIMITED)),
        (I::SqlMaxColumnsInSelect, number(UNLIMITED)),
        (I::SqlMaxColumnsInTable, number(UNLIMITED)),
        (I::SqlMaxConnections, limit(limits.connections_max)),
        (I::SqlMaxCursorNameLength, number(IDENTIFIER_BYTES_MAX)),
        (I::SqlMaxIndexLength, number(UNLIMITED)),
        (I::SqlDbSchemaNameLength, number(IDENTIFIER_BYTES_MAX)),
        (I::SqlMaxProcedureNameLength, number(IDENTIFIER_BYTES_MAX)),
        (I::SqlMaxCatalogNameLength, number(IDENTIFIER_BYTES_MAX)),
        (I::SqlMaxRowSize, number(UNLIMITED)),
        (I::SqlMaxRowSizeIncludesBlobs, bool(true)),
        (I::SqlMaxStatementLength, limit(limits.statement_bytes_max)),
        (I::SqlMaxStatements, number(UNLIMITED)),
        (I::SqlMaxTableNameLength, number(IDENTIFIER_BYTES_MAX)),
        (I::SqlMaxTablesInSelect, number(UNLIMITED)),
        (I::SqlMaxUsernameLength, number(IDENTIFIER_BYTES_MAX)),
    ]
}

fn transactions() -> Vec<Entry> {
    use SqlInfo as I;
    let isolation = SqlTransactionIsolationLevel::SqlTransactionRepeatableRead as i32;
    let forward_only = SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32;
    let read_only = SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32;
    vec![
        (I::SqlDefaultTransactionIsolation, number(isolation.into())),
        (I::SqlTransactionsSupported, bool(true)),
        (I::SqlSupportedTransactionsIsolationLevels, bits(&[isolation])),
        (I::SqlDataDefinitionCausesTransactionCommit, bool(false)),
        (I::SqlDataDefinitionsInTransactionsIgnored, bool(false)),
        (I::SqlSupportedResultSetTypes, bits(&[forward_only])),
        (I::SqlSupportedConcurrenciesForResultSetUnspecified, bits(&[])),
        (I::SqlSupportedConcurrenciesForResultSetForwardOnly, bits(&[read_only])),
        (I::SqlSupportedConcurrenciesForResultSetScrollSensitive, bits(&[])),
        (I::SqlSupportedConcurrenciesForResultSetScrollInsensitive, bits(&[])),
    ]
}

/// Which types `CAST` turns into which.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    use SqlSupportsConvert as C;
    let text = [C::SqlConvertChar, C::SqlConvertVarchar, C::SqlConvertLongvarchar];
    let numbers = [
        C::SqlConvertSmallint,
        C::SqlConvertInteger,
        C::SqlConvertBigint,
        C::SqlConvertReal,
        C::SqlConvertFloat,
        C::SqlConvertNumeric,
        C::SqlConvertDecimal,
    ];
    let times = [C::SqlConvertDate, C::SqlConvertTimestamp];
    let numbers_of = |types: &[C]| types.iter().map(|convert| *convert as i32).collect::<Vec<_>>();
    let mut map = BTreeMap::new();
    for from in text {
        let to = [&text[..], &numbers, &times, &[C::SqlConvertBit, C::SqlConvertTime]].concat();
        map.insert(from as i32, numbers_of(&to));
    }
    for from in numbers {
        map.insert(from as i32, numbers_of(&[&text[..], &numbers].concat()));
    }
    for from in times {
        map.insert(from as i32, numbers_of(&[&text[..], &times].concat()));
    }
    map.insert(C::SqlConvertBit as i32, numbers_of(&[&text[..], &[C::SqlConvertInteger]].concat()));
    map.insert(C::SqlConvertTime as i32, numbers_of(&text));
    map.insert(C::SqlConvertVarbinary as i32, numbers_of(&[C::SqlConvertVarbinary]));
    map
}
