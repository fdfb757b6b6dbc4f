//! Rows to the client: encoded as the socket drains, stopped by row limits and cancel requests.

use std::future::Future;
use std::time::Duration;

use arrow::datatypes::{FieldRef, Schema};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{FieldDescription, RowDescription};
use tarn_catalog::pg_type::{FIELD_COLUMN, FIELD_TABLE, PgType, pg_type_of};
use tarn_exec::ExecError;

use super::connection::Connection;
use super::rows::{EncodeError, Format, RowEncoder};
use super::wire::{FLUSH_BYTES, Written};
use crate::error::{Error, Result};
use crate::query::CommandTag;
use crate::scan::Scan;

/// Rows that are encoded before the buffer's size is looked at again.
const N_ROWS_PER_STEP: u64 = 256;

/// How long encoded rows wait for more before they leave.
const FLUSH_DELAY: Duration = Duration::from_millis(20);

/// A result on its way to the client.
pub(super) struct Outgoing {
    pub(super) scan: Scan,
    pub(super) encoder: RowEncoder,
    /// Rows sent by this Execute.
    n_sent: u64,
}

/// Why sending stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// There are no more rows.
    All,
    /// The client asked for no more; PostgreSQL says so even if none are left.
    Limit,
}

impl Outgoing {
    pub(super) fn new(scan: Scan, encoder: RowEncoder) -> Self {
        Self { scan, encoder, n_sent: 0 }
    }

    /// The tag for CommandComplete.
    pub(super) fn tag(&self) -> CommandTag {
        match self.scan.verb() {
            verb @ ("SHOW" | "EXPLAIN") => CommandTag::new(verb),
            verb => CommandTag::with_rows(verb, self.n_sent),
        }
    }
}

impl Connection {
    /// Does something while watching whether the client is still there.
    pub(super) async fn watching<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let ending = self.ending();
        let result = tokio::select! {
            biased;
            result = work => result,
            error = ending.wait() => Err(error),
            () = self.wire.closed() => Err(gone()),
        };
        // Whoever ends a session cancels its statement, too: that is not what the client is told.
        if ending.is_terminated() { Err(Error::Stopping) } else { result }
    }

    /// Sends rows up to a limit.
    ///
    /// # Errors
    /// An error after rows have been sent is returned like any other: the client gets an error
    /// message after the rows, never a shorter result.
    pub(super) async fn send(
        &mut self,
        outgoing: &mut Outgoing,
        limit: Option<u64>,
    ) -> Result<Sent> {
        outgoing.n_sent = 0;
        loop {
            let n_wanted = limit.map_or(u64::MAX, |limit| limit.saturating_sub(outgoing.n_sent));
            if n_wanted == 0 {
                return Ok(Sent::Limit);
            }
            if !self.has_rows(outgoing).await? {
                return Ok(Sent::All);
            }
            let Some(batch) = outgoing.scan.take(n_wanted.min(N_ROWS_PER_STEP)) else { continue };
            outgoing.encoder.encode(&batch, 0..batch.num_rows(), &mut self.wire.output)?;
            outgoing.n_sent += u64::try_from(batch.num_rows()).unwrap_or(0);
            if self.wire.output.len() >= FLUSH_BYTES {
                self.drain(outgoing).await?;
            }
        }
    }

    /// Waits for the next rows; what was encoded so far leaves meanwhile.
    pub(super) async fn has_rows(&mut self, outgoing: &mut Outgoing) -> Result<bool> {
        let ending = self.ending();
        loop {
            let has_output = !self.wire.output.is_empty();
            let patience = async {
                match has_output {
                    true => tokio::time::sleep(FLUSH_DELAY).await,
                    false => std::future::pending().await,
                }
            };
            let filled = tokio::select! {
                biased;
                filled = outgoing.scan.fill() => filled,
                () = patience => {
                    self.drain(outgoing).await?;
                    continue;
                }
                error = ending.wait() => return Err(error),
                () = self.wire.closed() => return Err(gone()),
            };
            return if ending.is_terminated() { Err(Error::Stopping) } else { filled };
        }
    }

    /// Writes what is encoded. A cancel request or timeout that comes while the client does not
    /// read stops the query at once; the bytes of whole messages still have to go out first.
    pub(super) async fn drain(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        let deadline = outgoing.scan.deadline();
        let token = self.session.token();
        let ending = self.ending();
        let written = tokio::select! {
            biased;
            written = self.wire.flush_unless(&token, deadline) => written?,
            error = ending.wait() => return Err(error),
        };
        let error = match written {
            Written::All => return Ok(()),
            Written::Interrupted if ending.is_terminated() => Error::Stopping,
            Written::Interrupted => Error::Exec(ExecError::Cancelled),
            Written::TimedOut => Error::StatementTimeout,
        };
        outgoing.scan.stop();
        Err(error)
    }
}

fn gone() -> Error {
    std::io::Error::from(std::io::ErrorKind::ConnectionAborted).into()
}

impl From<EncodeError> for Error {
    fn from(error: EncodeError) -> Self {
        Self::Value { code: error.sqlstate(), message: error.to_string() }
    }
}

/// Whether clients are told the same columns of both: names and types.
pub(super) fn is_same_result(one: &Schema, other: &Schema) -> bool {
    let is_same = |(one, other): (&FieldRef, &FieldRef)| {
        let (a, b) = (pg_type_of(one), pg_type_of(other));
        one.name() == other.name() && a.oid == b.oid && a.modifier == b.modifier
    };
    one.fields().len() == other.fields().len()
        && one.fields().iter().zip(other.fields()).all(is_same)
}

/// The columns of a result as the client sees them.
pub(super) fn row_description(schema: &Schema, formats: &[Format]) -> Backend {
    let fields = schema.fields().iter().zip(formats).map(|(field, format)| {
        let pg_type = pg_type_of(field);
        let format = match format {
            Format::Text => 0,
            Format::Binary => 1,
        };
        let name = field.name().clone();
        let number = |key: &str| field.metadata().get(key);
        let table = number(FIELD_TABLE).and_then(|oid| oid.parse::<u32>().ok()).unwrap_or(0);
        let table = i32::from_be_bytes(table.to_be_bytes());
        let column = number(FIELD_COLUMN).and_then(|at| at.parse().ok()).unwrap_or(0);
        let PgType { oid, size, modifier } = pg_type;
        FieldDescription::new(name, table, column, oid, size, modifier, format)
    });
    Backend::RowDescription(RowDescription::new(fields.collect()))
}
