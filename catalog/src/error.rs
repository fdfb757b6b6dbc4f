//! What can go wrong below the planner.

use datafusion::error::DataFusionError;

use crate::object_store::StoreFault;

/// The result of a catalog operation.
pub type Result<T, E = CatalogError> = std::result::Result<T, E>;

/// Conditions of the catalog, the lake formats and their storage.
///
/// `Display` is the primary message as PostgreSQL writes them and never prints the source.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No table of this name is known.
    #[error("relation \"{name}\" does not exist")]
    TableNotFound {
        /// The name as the user wrote it.
        name: String,
    },
    /// The role has no right to do this.
    #[error("permission denied for {kind} {name}")]
    PermissionDenied {
        /// `table`, `view`, `schema`, `database`.
        kind: &'static str,
        /// The folded name.
        name: String,
    },
    /// No schema of this name is known.
    #[error("schema \"{name}\" does not exist")]
    SchemaNotFound {
        /// The folded name.
        name: String,
    },
    /// The schema's name is taken.
    #[error("schema \"{name}\" already exists")]
    SchemaExists {
        /// The folded name.
        name: String,
    },
    /// The name is taken.
    #[error("relation \"{name}\" already exists")]
    TableExists {
        /// The folded name.
        name: String,
    },
    /// Another transaction has changed what this one is based on.
    #[error("could not serialize access due to concurrent update")]
    Conflict {
        /// The relation or schema.
        name: String,
    },
    /// A transaction over several tables keeps a place in the table's log.
    #[error("could not serialize access: a transaction over several tables is committing")]
    Reserved {
        /// The table.
        name: String,
        /// The transaction.
        token: String,
        /// How many tables it writes: the more, the longer it takes.
        n_tables: u64,
    },
    /// A transaction is committed, and not all of it is in its place.
    #[error("the transaction is committed, but not in all of its tables")]
    HalfCommitted {
        /// Which tables have it and which cannot, in words.
        what: String,
    },
    /// Another relation needs this one.
    #[error("cannot {verb} {name} because other objects depend on it")]
    DependentObjects {
        /// What was to be done: `drop`, `alter` or `rename`.
        verb: &'static str,
        /// The object, with its kind: `table t`.
        name: String,
        /// One dependent object.
        dependent: String,
    },
    /// The relation is of a kind that cannot do this.
    #[error("\"{name}\" is not {expected}")]
    WrongObjectType {
        /// The folded name.
        name: String,
        /// What it would have to be, with its article: `a view`.
        expected: &'static str,
    },
    /// The relation cannot be written.
    #[error("cannot write to relation \"{name}\"")]
    NotWritable {
        /// The folded name.
        name: String,
        /// Why not, in words for the user.
        reason: String,
    },
    /// A value that cannot be one of a partition column.
    #[error("a value of partition column \"{column}\" cannot be stored")]
    PartitionValue {
        /// The column.
        column: String,
        /// What can, in words for the user.
        reason: &'static str,
    },
    /// An empty text, which is NULL in a partition column, where that must not be.
    #[error("null value in column \"{column}\" violates not-null constraint")]
    PartitionNull {
        /// The column.
        column: String,
    },
    /// The rows of a table in memory take too much of it.
    #[error("table \"{name}\" would take more than {bytes_max} bytes of memory")]
    TableTooLarge {
        /// The folded name.
        name: String,
        /// The limit of one table.
        bytes_max: usize,
    },
    /// All tables in memory together take too much of it.
    #[error("tables in memory would take more than {bytes_max} bytes together")]
    MemoryTablesFull {
        /// The limit of all of them.
        bytes_max: usize,
        /// What they take.
        bytes_used: usize,
    },
    /// A version was asked for that the table never had or has no longer.
    #[error("version {version} of table \"{table}\" does not exist")]
    VersionNotFound {
        /// The table.
        table: String,
        /// The version asked for.
        version: String,
        /// The versions that can be read, in words.
        available: String,
    },
    /// The table did not record its changes when a version was made.
    #[error("changes of table \"{table}\" were not recorded in version {version}")]
    ChangesNotRecorded {
        /// The table.
        table: String,
        /// The first version without a record.
        version: u64,
    },
    /// Files that a version needs are gone.
    #[error("{n_missing} data files of table \"{table}\" are missing")]
    FilesMissing {
        /// The table.
        table: String,
        /// Some of the files.
        files: Vec<String>,
        /// How many are missing.
        n_missing: usize,
    },
    /// The format has no history.
    #[error("table \"{table}\" has no history to travel in")]
    TravelUnsupported {
        /// The table.
        table: String,
        /// Its format.
        format: &'static str,
    },
    /// The table needs a feature of its format that tarn does not have.
    #[error("table \"{table}\" needs the unsupported {format} feature \"{feature}\"")]
    UnsupportedFeature {
        /// The table.
        table: String,
        /// Its format.
        format: &'static str,
        /// The feature as the format names it.
        feature: String,
    },
    /// A file has a text that is no value of its column's type.
    #[error("column \"{column}\" holds a text that is no value of its type: {what}")]
    StoredText {
        /// The column.
        column: String,
        /// The text, in quotes, or what is wrong with it.
        what: String,
    },
    /// A column's type cannot be stored in the table's format.
    #[error("column \"{column}\" has type {data_type}, which {format} tables cannot hold")]
    UnsupportedColumnType {
        /// The column.
        column: String,
        /// PostgreSQL's name of the type.
        data_type: String,
        /// The format.
        format: &'static str,
    },
    /// A definition that contradicts itself or the format.
    #[error("{message}")]
    InvalidDefinition {
        /// The primary message.
        message: String,
        /// What to do instead.
        hint: Option<String>,
    },
    /// A column with the name of one that the change data feed has.
    #[error("column name \"{column}\" conflicts with a column of the change data feed")]
    ReservedColumn {
        /// The column.
        column: String,
    },
    /// A table property that is not known, or a value that it does not take.
    #[error("invalid table property \"{name}\": {reason}")]
    InvalidProperty {
        /// The property.
        name: String,
        /// Why, in words for the user.
        reason: String,
    },
    /// An option of a table of files that is not known, or a value that it does not take.
    #[error("invalid table option \"{name}\": {reason}")]
    InvalidFileOption {
        /// The option.
        name: String,
        /// Why, in words for the user.
        reason: String,
    },
    /// A column can be renamed or dropped only where files do not know it by its name.
    #[error("{what} needs column mapping, which is off for this table")]
    ColumnMappingNeeded {
        /// RENAME COLUMN, DROP COLUMN.
        what: &'static str,
    },
    /// A column's type can be changed only where the table allows files of several types.
    #[error(
        "changing the type of column \"{column}\" needs type widening, which is off for this table"
    )]
    TypeWideningNeeded {
        /// The column.
        column: String,
    },
    /// A value in a file of text is none of its column's type.
    #[error("{what}")]
    FileValue {
        /// The SQLSTATE.
        code: &'static str,
        /// The value, the column, the file.
        what: String,
    },
    /// The metadata or a data file cannot be understood.
    #[error("table \"{table}\" is damaged: {what}")]
    Corrupt {
        /// The table or its location.
        table: String,
        /// What was found.
        what: String,
        /// The cause, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A path or URL that names nothing.
    #[error("path \"{path}\" does not exist")]
    PathNotFound {
        /// The path as given.
        path: String,
    },
    /// A path or URL that tarn cannot use.
    #[error("cannot use \"{url}\": {reason}")]
    InvalidLocation {
        /// The path as given.
        url: String,
        /// Why, in words for the user.
        reason: String,
    },
    /// Storage did not answer or refused; the words come from [`StoreFault`], the detail from the
    /// source.
    #[error("{}: {what}", StoreFault::of(.source.as_ref()).words())]
    Storage {
        /// What was being read.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Storage did not take what was written.
    #[error("could not write to storage: {what}")]
    WriteStorage {
        /// What was being written.
        what: String,
        /// The cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Storage does not tell whether a commit has landed.
    #[error("it is unknown whether the transaction has been committed")]
    CommitUnclear {
        /// The table.
        table: String,
        /// The version that it would have.
        version: u64,
        /// What storage said.
        cause: String,
    },
    /// The place of the catalog's log did not answer or refused.
    #[error("could not {what} in the catalog at \"{place}\"")]
    CatalogLog {
        /// The place, without credentials.
        place: String,
        /// What was being done, as a verb.
        what: String,
        /// The cause, where there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A record of the catalog's log cannot be understood.
    #[error("record {version} of the catalog at \"{place}\" is damaged: {what}")]
    CatalogDamaged {
        /// The place.
        place: String,
        /// The record's number.
        version: u64,
        /// What was found.
        what: String,
    },
    /// The catalog's log was written by a newer server.
    #[error(
        "the catalog at \"{place}\" holds \"{kind}\" in record {version}, which this version of tarn does not know"
    )]
    CatalogTooNew {
        /// The place.
        place: String,
        /// The record's number.
        version: u64,
        /// The kind of entry.
        kind: String,
    },
    /// Secrets of storage credentials cannot be encrypted or decrypted.
    #[error("cannot use the catalog's secret key: {what}")]
    SecretKey {
        /// Why not, in words for the user.
        what: String,
    },
    /// No object of this kind has this name.
    #[error("{kind} \"{name}\" does not exist")]
    ObjectNotFound {
        /// The kind: `role`, `storage`, `database`.
        kind: &'static str,
        /// The folded name.
        name: String,
    },
    /// An object of this kind has this name.
    #[error("{kind} \"{name}\" already exists")]
    ObjectExists {
        /// The kind: `role`, `storage`, `database`.
        kind: &'static str,
        /// The folded name.
        name: String,
    },
    /// DataFusion failed while a table was opened.
    #[error("could not open table \"{table}\"")]
    Engine {
        /// The table or its location.
        table: String,
        /// The cause.
        #[source]
        source: Box<DataFusionError>,
    },
    /// A bug in tarn.
    #[error("internal error: {what}")]
    Internal {
        /// What was not as it must be.
        what: String,
    },
}

impl From<CatalogError> for DataFusionError {
    fn from(error: CatalogError) -> Self {
        Self::External(Box::new(error))
    }
}
