//! Errors as clients see them: the only place that knows SQLSTATEs and gRPC codes.
#![deny(clippy::wildcard_enum_match_arm)]

mod codes;
mod engine;
mod storage;

use tarn_catalog::CatalogError;
use tarn_catalog::object_store::StoreFault;
use tarn_exec::ExecError;
use tarn_planner::PlannerError;

use codes::catalog_code;
use engine::EngineFault;

/// The result of serving a client.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can be answered to a client instead of a result.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The statement could not be planned.
    #[error("{}", planner_message(.0))]
    Planner(#[from] PlannerError),
    /// The statement failed while it ran.
    #[error("{}", exec_message(.0))]
    Exec(#[from] ExecError),
    /// The catalog refused.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    /// A value could not be read from, or written to, the wire.
    #[error("{message}")]
    Value {
        /// The SQLSTATE.
        code: &'static str,
        /// The primary message.
        message: String,
    },
    /// What a role may not do, and what contradicts the roles and rights there are.
    #[error("{message}")]
    Refused {
        /// The SQLSTATE.
        code: &'static str,
        /// The primary message.
        message: String,
        /// What is known beyond it.
        detail: Option<String>,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A message that the protocol does not allow here.
    #[error("{message}")]
    Protocol {
        /// The primary message.
        message: String,
    },
    /// A statement after an error inside a transaction.
    #[error("current transaction is aborted, commands ignored until end of transaction block")]
    FailedTransaction,
    /// A statement that needs a transaction, outside of one.
    #[error("{what} can only be used in transaction blocks")]
    NoTransaction {
        /// The statement.
        what: &'static str,
    },
    /// An unknown savepoint.
    #[error("savepoint \"{name}\" does not exist")]
    UndefinedSavepoint {
        /// The folded name.
        name: String,
    },
    /// A write inside a transaction, or in one that is read only.
    #[error("cannot execute {what} in a read-only transaction")]
    ReadOnlyTransaction {
        /// The statement.
        what: String,
    },
    /// A write in a session that reads a snapshot.
    #[error("cannot execute {what} while the session reads a snapshot")]
    ReadsSnapshot {
        /// The statement.
        what: String,
    },
    /// VACUUM with a time in which readers and writers may still need files.
    #[error("files must be retained for {own_hours} hours, {hours} are too few")]
    RetentionTooShort {
        /// What was asked for.
        hours: f64,
        /// What the table asks for.
        own_hours: f64,
    },
    /// An unknown prepared statement.
    #[error("prepared statement \"{name}\" does not exist")]
    UndefinedStatement {
        /// The name.
        name: String,
    },
    /// A prepared statement's name is taken.
    #[error("prepared statement \"{name}\" already exists")]
    DuplicateStatement {
        /// The name.
        name: String,
    },
    /// An unknown portal.
    #[error("portal \"{name}\" does not exist")]
    UndefinedPortal {
        /// The name.
        name: String,
    },
    /// A portal's name is taken.
    #[error("portal \"{name}\" already exists")]
    DuplicatePortal {
        /// The name.
        name: String,
    },
    /// An unknown cursor.
    #[error("cursor \"{name}\" does not exist")]
    UndefinedCursor {
        /// The name.
        name: String,
    },
    /// A cursor's name is taken.
    #[error("cursor \"{name}\" already exists")]
    DuplicateCursor {
        /// The name.
        name: String,
    },
    /// A cursor that has failed before.
    #[error("portal \"{name}\" cannot be run")]
    FailedPortal {
        /// The name.
        name: String,
    },
    /// A cursor is asked for rows that it has passed and not kept.
    #[error("cursor can only scan forward")]
    ForwardOnly,
    /// EXECUTE with more or fewer values than the statement has parameters.
    #[error("wrong number of parameters for prepared statement \"{name}\"")]
    ArgumentCount {
        /// The statement.
        name: String,
        /// Its parameters.
        n_expected: usize,
        /// The values.
        n_given: usize,
    },
    /// COPY of a view by its name.
    #[error("cannot copy from view \"{name}\"")]
    CopyFromView {
        /// The view.
        name: String,
    },
    /// A line of COPY FROM that cannot be read or kept.
    #[error("{message}")]
    CopyData {
        /// The SQLSTATE.
        code: &'static str,
        /// The primary message.
        message: String,
        /// Where it is: `COPY t, line 3, column x: "value"`.
        context: String,
    },
    /// NULL for a column that is declared NOT NULL.
    #[error(
        "null value in column \"{column}\" of relation \"{table}\" violates not-null constraint"
    )]
    NotNullViolation {
        /// The column.
        column: String,
        /// The table.
        table: String,
    },
    /// A row that a CHECK constraint refuses.
    #[error("new row for relation \"{table}\" violates check constraint \"{constraint}\"")]
    CheckViolation {
        /// The constraint.
        constraint: String,
        /// The table.
        table: String,
    },
    /// A row that the condition of REPLACE WHERE or PARTITION is not true for.
    #[error("new row for relation \"{table}\" is not among those that the statement replaces")]
    ReplaceViolation {
        /// The table.
        table: String,
    },
    /// A row that several rows of a MERGE's source match.
    #[error("MERGE command cannot affect row a second time")]
    MergedTwice,
    /// Another writer changed the table meanwhile.
    #[error("could not serialize access due to concurrent update")]
    WriteConflict,
    /// A statement ran longer than allowed.
    #[error("canceling statement due to statement timeout")]
    StatementTimeout,
    /// A session was idle for longer than allowed.
    #[error("terminating connection due to {what}")]
    IdleTimeout {
        /// Which timeout.
        what: &'static str,
        /// The SQLSTATE of that timeout.
        code: &'static str,
    },
    /// No more connections are taken.
    #[error("sorry, too many clients already")]
    TooManyConnections {
        /// The limit.
        n_max: usize,
    },
    /// The last places for connections are for the first role.
    #[error("remaining connection slots are reserved for the role \"tarn\"")]
    ReservedConnections {
        /// How many they are.
        n_reserved: usize,
    },
    /// What a session holds of a kind takes too much memory.
    #[error("the {what} of one session are too large")]
    SessionBytes {
        /// What is too large together, in the plural.
        what: &'static str,
        /// The limit.
        bytes_max: usize,
    },
    /// A session holds too many objects of a kind.
    #[error("too many {what} in one session")]
    SessionLimit {
        /// The kind.
        what: &'static str,
        /// The limit.
        n_max: usize,
    },
    /// The password is wrong or the role does not exist.
    #[error("password authentication failed for user \"{user}\"")]
    InvalidPassword {
        /// The role as given.
        user: String,
    },
    /// The connection is not allowed.
    #[error("{message}")]
    NotAuthorized {
        /// The primary message.
        message: String,
    },
    /// A database that does not exist.
    #[error("database \"{name}\" does not exist")]
    UndefinedDatabase {
        /// The name.
        name: String,
    },
    /// The server stops.
    #[error("terminating connection due to administrator command")]
    Stopping,
    /// The connection broke.
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    /// A bug in tarn.
    #[error("internal error: {what}")]
    Internal {
        /// What was not as it must be.
        what: String,
    },
}

/// A status travels in HTTP/2 headers, escaped to up to three times its length; clients drop the
/// connection when these pass 16 KiB.
const STATUS_BYTES_MAX: usize = 4_000;

impl Error {
    /// The five characters that programs decide by.
    ///
    /// # Source
    /// PostgreSQL, appendix A.
    #[must_use]
    pub fn sqlstate(&self) -> &str {
        match self {
            Self::Planner(error) => planner_code(error),
            Self::Exec(error) => exec_code(error),
            Self::Catalog(error) => catalog_code(error),
            Self::Value { code, .. }
            | Self::Refused { code, .. }
            | Self::IdleTimeout { code, .. } => code,
            Self::Protocol { .. } => "08P01",
            Self::FailedTransaction => "25P02",
            Self::NoTransaction { .. } => "25P01",
            Self::UndefinedSavepoint { .. } => "3B001",
            Self::ReadOnlyTransaction { .. } | Self::ReadsSnapshot { .. } => "25006",
            Self::RetentionTooShort { .. } => "22023",
            Self::UndefinedStatement { .. } => "26000",
            Self::DuplicateStatement { .. } => "42P05",
            Self::UndefinedPortal { .. } => "34000",
            Self::DuplicatePortal { .. } => "42P03",
            Self::UndefinedCursor { .. } => "34000",
            Self::DuplicateCursor { .. } => "42P03",
            Self::ForwardOnly | Self::FailedPortal { .. } => "55000",
            Self::CopyFromView { .. } => "42809",
            Self::ArgumentCount { .. } => "42601",
            Self::CopyData { code, .. } => code,
            Self::NotNullViolation { .. } => "23502",
            Self::CheckViolation { .. } | Self::ReplaceViolation { .. } => "23514",
            Self::MergedTwice => "21000",
            Self::WriteConflict => "40001",
            Self::StatementTimeout => "57014",
            Self::TooManyConnections { .. } | Self::ReservedConnections { .. } => "53300",
            Self::SessionLimit { .. } | Self::SessionBytes { .. } => "53400",
            Self::InvalidPassword { .. } => "28P01",
            Self::NotAuthorized { .. } => "28000",
            Self::UndefinedDatabase { .. } => "3D000",
            Self::Stopping => "57P01",
            Self::Io(_) => "08006",
            Self::Internal { .. } => "XX000",
        }
    }

    /// The primary message.
    #[must_use]
    pub fn message(&self) -> String {
        self.to_string()
    }

    /// What is known beyond the primary message.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "most errors have none")]
    pub fn detail(&self) -> Option<String> {
        match self {
            Self::Catalog(error) | Self::Planner(PlannerError::Catalog(error)) => {
                catalog_detail(error)
            }
            Self::Refused { detail, .. } => detail.clone(),
            Self::Planner(PlannerError::Engine(error)) => EngineFault::of(error).detail,
            Self::ArgumentCount { n_expected, n_given, .. } => {
                Some(format!("Expected {n_expected} parameters but got {n_given}."))
            }
            Self::Exec(ExecError::Engine(error)) => EngineFault::of(error).detail,
            Self::Planner(PlannerError::InvalidSetting { accepted, .. }) => {
                Some(format!("Accepted: {accepted}."))
            }
            _ => None,
        }
    }

    /// What to do about it.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "most errors have none")]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Planner(PlannerError::Unsupported { hint, .. }) => hint.clone(),
            Self::Planner(PlannerError::Denied { hint, .. }) => Some(hint.clone()),
            Self::Refused { code: "42501", hint: None, .. } => Some(ASK.to_owned()),
            Self::Refused { hint, .. } => hint.clone(),
            Self::Planner(PlannerError::UndefinedTable { suggestion, .. }) => suggestion
                .as_ref()
                .map(|name| format!("Perhaps you meant the relation \"{name}\".")),
            Self::Planner(PlannerError::UndefinedColumn { suggestion, .. }) => suggestion
                .as_ref()
                .map(|name| format!("Perhaps you meant to reference the column \"{name}\".")),
            Self::Planner(PlannerError::UndefinedFunction { .. }) => Some(
                "No function matches the given name and argument types. You might need to add \
                 explicit type casts."
                    .to_owned(),
            ),
            Self::Planner(PlannerError::TooComplex { .. }) => {
                Some("Split the statement, or write long OR chains as IN (…) lists.".to_owned())
            }
            Self::Planner(PlannerError::Engine(error)) => EngineFault::of(error).hint,
            Self::Exec(ExecError::Engine(error)) => EngineFault::of(error).hint,
            Self::Exec(ExecError::QueueFull { n_waiting_max }) => Some(format!(
                "{n_waiting_max} queries wait already; try again later or raise --queue-max."
            )),
            Self::Catalog(error) | Self::Planner(PlannerError::Catalog(error)) => {
                catalog_hint(error)
            }
            Self::ReadsSnapshot { .. } => Some("RESET snapshot ends it.".to_owned()),
            Self::MergedTwice => Some(
                "Ensure that not more than one source row matches any one target row.".to_owned(),
            ),
            Self::RetentionTooShort { .. } => Some(
                "Readers on other servers may still read these files; SET \
                 tarn.vacuum_retention_check = off to delete them all the same."
                    .to_owned(),
            ),
            Self::CopyData { code, .. } => crate::copy_in::copy_hint(code),
            Self::CopyFromView { .. } => Some("Try the COPY (SELECT ...) TO variant.".to_owned()),
            Self::ForwardOnly => {
                Some("Declare it with SCROLL option to enable backward scan.".to_owned())
            }
            Self::StatementTimeout => {
                Some("Raise statement_timeout to let it run longer.".to_owned())
            }
            Self::TooManyConnections { n_max } => {
                Some(format!("The limit is {n_max}; raise --connections-max."))
            }
            Self::ReservedConnections { n_reserved } => Some(format!(
                "{n_reserved} are; raise --connections-max or lower --connections-reserved."
            )),
            Self::SessionLimit { what, n_max } => {
                Some(format!("The limit is {n_max}; close {what} that are no longer needed."))
            }
            Self::SessionBytes { bytes_max, .. } => Some(format!(
                "Together they can take {bytes_max} bytes; close or drop some of them."
            )),
            Self::UndefinedDatabase { .. } => {
                Some("pg_database lists them; the first one is called tarn.".to_owned())
            }
            _ => None,
        }
    }

    /// What was being done, beyond the statement itself.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "most errors have none")]
    pub fn context(&self) -> Option<&str> {
        match self {
            Self::CopyData { context, .. } => Some(context),
            _ => None,
        }
    }

    /// Where in the statement's text, counted in characters from 1.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "most errors have none")]
    pub fn position(&self) -> Option<usize> {
        match self {
            Self::Planner(
                PlannerError::Syntax { position, .. }
                | PlannerError::UndefinedTable { position, .. }
                | PlannerError::UndefinedColumn { position, .. }
                | PlannerError::AmbiguousColumn { position, .. }
                | PlannerError::UndefinedFunction { position, .. }
                | PlannerError::Semantics { position, .. },
            ) => *position,
            _ => None,
        }
    }

    /// Whether the connection ends with this error.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::IdleTimeout { .. }
                | Self::TooManyConnections { .. }
                | Self::ReservedConnections { .. }
                | Self::InvalidPassword { .. }
                | Self::NotAuthorized { .. }
                | Self::UndefinedDatabase { .. }
                | Self::Stopping
                | Self::Io(_)
        )
    }

    /// The error for Flight SQL clients: a gRPC code, and the SQLSTATE in front of the message.
    #[must_use]
    pub fn to_status(&self) -> tonic::Status {
        use tonic::Code;
        let code = match self.sqlstate() {
            "57014" => Code::Cancelled,
            "28P01" | "28000" => Code::Unauthenticated,
            "42P01" | "3F000" | "3D000" | "26000" | "34000" => Code::NotFound,
            "42P07" | "42P05" | "42P06" => Code::AlreadyExists,
            "0A000" => Code::Unimplemented,
            "53300" | "53100" | "53200" | "53400" | "54001" => Code::ResourceExhausted,
            "57P01" | "58030" | "08006" => Code::Unavailable,
            "25P02" | "25P01" | "25006" => Code::FailedPrecondition,
            "42501" => Code::PermissionDenied,
            "40001" | "40002" | "40003" => Code::Aborted,
            state if state.starts_with("XX") => Code::Internal,
            _ => Code::InvalidArgument,
        };
        let mut text = format!("{}: {}", self.sqlstate(), self.message());
        for part in [self.detail(), self.hint()].into_iter().flatten() {
            text.push('\n');
            text.push_str(&part);
        }
        if text.len() > STATUS_BYTES_MAX {
            text.truncate(text.floor_char_boundary(STATUS_BYTES_MAX));
            text.push('…');
        }
        tonic::Status::new(code, text)
    }
}

/// What somebody without a right can do.
const ASK: &str = "A superuser, or the object's owner, can give the right.";

fn planner_message(error: &PlannerError) -> String {
    match error {
        PlannerError::Engine(error) => EngineFault::of(error).message,
        other @ (PlannerError::Syntax { .. }
        | PlannerError::TooComplex { .. }
        | PlannerError::UndefinedTable { .. }
        | PlannerError::UndefinedColumn { .. }
        | PlannerError::AmbiguousColumn { .. }
        | PlannerError::UndefinedFunction { .. }
        | PlannerError::UndefinedSetting { .. }
        | PlannerError::InvalidSetting { .. }
        | PlannerError::ReadOnlySetting { .. }
        | PlannerError::Unsupported { .. }
        | PlannerError::Denied { .. }
        | PlannerError::DatatypeMismatch { .. }
        | PlannerError::DuplicateColumn { .. }
        | PlannerError::Semantics { .. }
        | PlannerError::Catalog(_)
        | PlannerError::Internal { .. }) => other.to_string(),
    }
}

fn exec_message(error: &ExecError) -> String {
    match error {
        ExecError::Engine(error) => EngineFault::of(error).message,
        other @ (ExecError::Cancelled
        | ExecError::QueueFull { .. }
        | ExecError::Panicked { .. }
        | ExecError::Start { .. }
        | ExecError::Stopping) => other.to_string(),
    }
}

fn planner_code(error: &PlannerError) -> &'static str {
    match error {
        PlannerError::Syntax { .. } => "42601",
        PlannerError::TooComplex { .. } => "54001",
        PlannerError::UndefinedTable { .. } => "42P01",
        PlannerError::UndefinedColumn { .. } => "42703",
        PlannerError::AmbiguousColumn { .. } => "42702",
        PlannerError::UndefinedFunction { .. } => "42883",
        PlannerError::UndefinedSetting { .. } => "42704",
        PlannerError::InvalidSetting { .. } => "22023",
        PlannerError::ReadOnlySetting { .. } => "55P02",
        PlannerError::Unsupported { .. } => "0A000",
        PlannerError::Denied { .. } => "42501",
        PlannerError::DatatypeMismatch { .. } => "42804",
        PlannerError::DuplicateColumn { .. } => "42701",
        PlannerError::Semantics { code, .. } => code,
        PlannerError::Catalog(error) => catalog_code(error),
        PlannerError::Engine(error) => EngineFault::of(error).code,
        PlannerError::Internal { .. } => "XX000",
    }
}

fn exec_code(error: &ExecError) -> &'static str {
    match error {
        ExecError::Cancelled => "57014",
        ExecError::QueueFull { .. } => "53300",
        ExecError::Engine(error) => EngineFault::of(error).code,
        ExecError::Panicked { .. } | ExecError::Start { .. } => "XX000",
        ExecError::Stopping => "57P01",
    }
}

fn catalog_detail(error: &CatalogError) -> Option<String> {
    match error {
        CatalogError::DependentObjects { name, dependent, .. } => {
            Some(format!("{dependent} depends on {name}"))
        }
        CatalogError::NotWritable { reason, .. } => Some(sentence(reason)),
        CatalogError::PartitionValue { reason, .. } => Some(sentence(reason)),
        CatalogError::MemoryTablesFull { bytes_used, .. } => {
            Some(format!("They take {bytes_used} bytes now."))
        }
        CatalogError::VersionNotFound { available, .. } => Some(sentence(available)),
        CatalogError::TravelUnsupported { format, .. } => Some(format!("Its format is {format}.")),
        CatalogError::FilesMissing { files, n_missing, .. } => {
            let more = if *n_missing > files.len() { ", …" } else { "" };
            Some(format!("Missing: {}{more}.", files.join(", ")))
        }
        CatalogError::Corrupt { source: Some(source), .. } => {
            Some(sentence(&chain(source.as_ref())))
        }
        CatalogError::Storage { source, .. } | CatalogError::WriteStorage { source, .. } => {
            Some(sentence(&chain(source.as_ref())))
        }
        CatalogError::CommitUnclear { table, version, cause } => {
            Some(sentence(&format!("version {version} of table \"{table}\": {cause}")))
        }
        CatalogError::CatalogLog { source: Some(source), .. } => {
            Some(sentence(&chain(source.as_ref())))
        }
        CatalogError::Engine { source, .. } => Some(sentence(&EngineFault::of(source).message)),
        CatalogError::Conflict { name } => {
            Some(format!("Another transaction has changed \"{name}\"."))
        }
        CatalogError::Reserved { name, .. } => Some(format!("The table is \"{name}\".")),
        CatalogError::HalfCommitted { what } => Some(sentence(what)),
        CatalogError::TableNotFound { .. }
        | CatalogError::SchemaNotFound { .. }
        | CatalogError::TableExists { .. }
        | CatalogError::SchemaExists { .. }
        | CatalogError::WrongObjectType { .. }
        | CatalogError::PartitionNull { .. }
        | CatalogError::TableTooLarge { .. }
        | CatalogError::UnsupportedFeature { .. }
        | CatalogError::UnsupportedColumnType { .. }
        | CatalogError::StoredText { .. }
        | CatalogError::ColumnMappingNeeded { .. }
        | CatalogError::TypeWideningNeeded { .. }
        | CatalogError::InvalidDefinition { .. }
        | CatalogError::ReservedColumn { .. }
        | CatalogError::InvalidProperty { .. }
        | CatalogError::InvalidFileOption { .. }
        | CatalogError::ChangesNotRecorded { .. }
        | CatalogError::FileValue { .. }
        | CatalogError::Corrupt { source: None, .. }
        | CatalogError::CatalogLog { source: None, .. }
        | CatalogError::CatalogDamaged { .. }
        | CatalogError::CatalogTooNew { .. }
        | CatalogError::SecretKey { .. }
        | CatalogError::ObjectNotFound { .. }
        | CatalogError::ObjectExists { .. }
        | CatalogError::PermissionDenied { .. }
        | CatalogError::PathNotFound { .. }
        | CatalogError::InvalidLocation { .. }
        | CatalogError::Internal { .. } => None,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "fixed_hint names all the others")]
fn catalog_hint(error: &CatalogError) -> Option<String> {
    match error {
        CatalogError::Storage { source, .. } | CatalogError::WriteStorage { source, .. } => {
            Some(storage::hint(StoreFault::of(source.as_ref())).to_owned())
        }
        CatalogError::InvalidDefinition { hint, .. } => hint.clone(),
        CatalogError::TableTooLarge { .. } => Some(
            "Raise --memory-tables, or make the table with USING delta, which keeps its rows in \
             storage."
                .to_owned(),
        ),
        CatalogError::MemoryTablesFull { .. } => Some(
            "Drop or truncate tables in memory, end transactions and prepared statements that \
             still hold their old rows, raise --memory-tables-total, or make tables with USING \
             delta."
                .to_owned(),
        ),
        CatalogError::HalfCommitted { .. } => Some(
            "tarn check names the tables; write to tables of transactions through tarn only."
                .to_owned(),
        ),
        CatalogError::ChangesNotRecorded { .. } => Some(
            "Changes are recorded from the moment when the table property \
             delta.enableChangeDataFeed is true; table_diff compares versions without a record."
                .to_owned(),
        ),
        other => fixed_hint(other).map(ToOwned::to_owned),
    }
}

/// What to do about a column or its values.
#[expect(clippy::wildcard_enum_match_arm, reason = "fixed_hint names all the others")]
fn column_hint(error: &CatalogError) -> Option<&'static str> {
    match error {
        CatalogError::StoredText { .. } => Some(
            "Another program has written it: the notes tarn.pg_type in the table's schema say \
             which texts a column takes. RESTORE brings back a version from before.",
        ),
        CatalogError::PartitionValue { .. } => {
            Some("Partition the table by another column, or by one that is generated from it.")
        }
        CatalogError::PartitionNull { .. } => {
            Some("The empty text is NULL in a partition column: that is how Delta stores both.")
        }
        CatalogError::UnsupportedColumnType { .. } => {
            Some("Declare the column as text and cast it where it is used.")
        }
        CatalogError::ReservedColumn { .. } => {
            Some("Use another name, or leave the table property delta.enableChangeDataFeed off.")
        }
        CatalogError::ColumnMappingNeeded { .. } => Some(
            "Switch it on with ALTER TABLE … SET TBLPROPERTIES ('delta.columnMapping.mode' = \
             'name'); other programs have to know the feature then.",
        ),
        CatalogError::TypeWideningNeeded { .. } => Some(
            "Switch it on with ALTER TABLE … SET TBLPROPERTIES ('delta.enableTypeWidening' = \
             'true'); other programs have to know the feature then.",
        ),
        _ => None,
    }
}

fn fixed_hint(error: &CatalogError) -> Option<&'static str> {
    match error {
        CatalogError::Conflict { .. } | CatalogError::Reserved { .. } => {
            Some("The transaction might succeed if retried.")
        }
        CatalogError::DependentObjects { verb: "drop", .. } => {
            Some("Use DROP ... CASCADE to drop the dependent objects too.")
        }
        CatalogError::DependentObjects { .. } => {
            Some("Views keep their text: drop the view first, and make it again afterwards.")
        }
        CatalogError::TravelUnsupported { .. } => Some("Only Delta tables keep their history."),
        CatalogError::FilesMissing { .. } => {
            Some("They were vacuumed or deleted by hand; choose a newer version.")
        }
        CatalogError::CommitUnclear { .. } => {
            Some("Look whether its changes are there before it is run again.")
        }
        CatalogError::CatalogLog { .. } => {
            Some("Check that the catalog's place can be reached and written.")
        }
        CatalogError::CatalogDamaged { .. } => {
            Some("Restore the record from a backup; tarn check reads all of them.")
        }
        CatalogError::CatalogTooNew { .. } => {
            Some("Use the version of tarn that has written it, or a newer one.")
        }
        CatalogError::SecretKey { .. } => {
            Some("Servers that share a catalog need the same key: set TARN_SECRET_KEY.")
        }
        CatalogError::FileValue { .. } => {
            Some("COPY the files into a table whose columns have the types that are meant.")
        }
        CatalogError::Corrupt { .. } => {
            Some("Other tables are not affected; restore the damaged file.")
        }
        CatalogError::PermissionDenied { .. } => Some(ASK),
        CatalogError::InvalidFileOption { .. } => Some("Without it, the files are looked at."),
        CatalogError::StoredText { .. }
        | CatalogError::PartitionValue { .. }
        | CatalogError::PartitionNull { .. }
        | CatalogError::UnsupportedColumnType { .. }
        | CatalogError::ReservedColumn { .. }
        | CatalogError::ColumnMappingNeeded { .. }
        | CatalogError::TypeWideningNeeded { .. } => column_hint(error),
        CatalogError::TableNotFound { .. }
        | CatalogError::InvalidProperty { .. }
        | CatalogError::SchemaNotFound { .. }
        | CatalogError::TableExists { .. }
        | CatalogError::SchemaExists { .. }
        | CatalogError::WrongObjectType { .. }
        | CatalogError::NotWritable { .. }
        | CatalogError::VersionNotFound { .. }
        | CatalogError::UnsupportedFeature { .. }
        | CatalogError::PathNotFound { .. }
        | CatalogError::InvalidLocation { .. }
        | CatalogError::ObjectNotFound { .. }
        | CatalogError::ObjectExists { .. }
        | CatalogError::TableTooLarge { .. }
        | CatalogError::MemoryTablesFull { .. }
        | CatalogError::HalfCommitted { .. }
        | CatalogError::ChangesNotRecorded { .. }
        | CatalogError::Engine { .. }
        | CatalogError::InvalidDefinition { .. }
        | CatalogError::Storage { .. }
        | CatalogError::WriteStorage { .. }
        | CatalogError::Internal { .. } => None,
    }
}

/// Details and hints are sentences.
fn sentence(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    let Some(first) = chars.next() else { return String::new() };
    let mut out: String = first.to_uppercase().collect();
    out.extend(chars);
    out.push('.');
    out
}

/// A cause with its own causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
