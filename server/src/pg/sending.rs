//! Rows to the client: encoded as the socket drains, stopped by row limits and cancel requests.

use std::future::Future;

use arrow::datatypes::Schema;
use arrow::record_batch::RecordBatch;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::data::{FieldDescription, RowDescription};
use tarn_catalog::pg_type::pg_type_of;
use tarn_exec::ExecError;

use super::connection::Connection;
use super::rows::{EncodeError, Format, RowEncoder};
use super::wire::{FLUSH_BYTES, Written};
use crate::error::{Error, Result};
use crate::query::{CommandTag, Rows};

/// Rows that are encoded before the buffer's size is looked at again.
const N_ROWS_PER_STEP: usize = 256;

/// A result on its way to the client.
pub(super) struct Outgoing {
    rows: Option<Rows>,
    verb: &'static str,
    encoder: RowEncoder,
    batch: Option<RecordBatch>,
    /// Rows of `batch` that have been sent.
    n_done: usize,
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
    pub(super) fn new(rows: Rows, encoder: RowEncoder) -> Self {
        let verb = rows.verb();
        Self { rows: Some(rows), verb, encoder, batch: None, n_done: 0, n_sent: 0 }
    }

    /// The tag for CommandComplete.
    pub(super) fn tag(&self) -> CommandTag {
        match self.verb {
            "SELECT" => CommandTag::with_rows("SELECT", self.n_sent),
            verb => CommandTag::new(verb),
        }
    }
}

impl Connection {
    /// Does something while watching whether the client is still there.
    pub(super) async fn watching<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let session = std::sync::Arc::clone(&self.session);
        tokio::select! {
            biased;
            result = work => result,
            () = self.wire.closed() => Err(gone()),
            () = session.terminated().cancelled() => Err(Error::Stopping),
        }
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
            if limit.is_some_and(|limit| outgoing.n_sent >= limit) {
                return Ok(Sent::Limit);
            }
            if outgoing.batch.is_none() && !self.fetch(outgoing).await? {
                return Ok(Sent::All);
            }
            let Some(batch) = &outgoing.batch else { continue };
            let n_left = batch.num_rows() - outgoing.n_done;
            let n_wanted = limit.map_or(usize::MAX, |limit| {
                usize::try_from(limit - outgoing.n_sent).unwrap_or(usize::MAX)
            });
            let n = n_left.min(n_wanted).min(N_ROWS_PER_STEP);
            let range = outgoing.n_done..outgoing.n_done + n;
            outgoing.encoder.encode(batch, range, &mut self.wire.output)?;
            outgoing.n_done += n;
            outgoing.n_sent += u64::try_from(n).unwrap_or(0);
            if outgoing.n_done >= batch.num_rows() {
                outgoing.batch = None;
            }
            if self.wire.output.len() >= FLUSH_BYTES {
                self.drain(outgoing).await?;
            }
        }
    }

    /// Waits for the next batch; what was encoded so far leaves meanwhile.
    async fn fetch(&mut self, outgoing: &mut Outgoing) -> Result<bool> {
        let Some(rows) = &mut outgoing.rows else { return Ok(false) };
        let next = tokio::select! {
            biased;
            next = rows.next() => next,
            () = self.wire.closed() => return Err(gone()),
            () = self.session.terminated().cancelled() => return Err(Error::Stopping),
        };
        match next {
            Some(Ok(batch)) => {
                outgoing.batch = Some(batch);
                outgoing.n_done = 0;
                Ok(true)
            }
            Some(Err(error)) => {
                outgoing.rows = None;
                Err(error)
            }
            None => {
                outgoing.rows = None;
                Ok(false)
            }
        }
    }

    /// Writes what is encoded. A cancel request or timeout that comes while the client does not
    /// read stops the query at once; the bytes of whole messages still have to go out first.
    async fn drain(&mut self, outgoing: &mut Outgoing) -> Result<()> {
        let deadline = outgoing.rows.as_ref().and_then(Rows::deadline);
        let token = self.session.token();
        let error = match self.wire.flush_unless(&token, deadline).await? {
            Written::All => return Ok(()),
            Written::Interrupted => Error::Exec(ExecError::Cancelled),
            Written::TimedOut => Error::StatementTimeout,
        };
        outgoing.rows = None;
        outgoing.batch = None;
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

/// The columns of a result as the client sees them.
pub(super) fn row_description(schema: &Schema, formats: &[Format]) -> Backend {
    let fields = schema.fields().iter().zip(formats).map(|(field, format)| {
        let pg_type = pg_type_of(field);
        let format = match format {
            Format::Text => 0,
            Format::Binary => 1,
        };
        let name = field.name().clone();
        FieldDescription::new(name, 0, 0, pg_type.oid, pg_type.size, pg_type.modifier, format)
    });
    Backend::RowDescription(RowDescription::new(fields.collect()))
}
