//! COPY … FROM STDIN: messages in, rows out.
//!
//! ```text
//!   CopyInResponse ─► CopyData … ─► CopyDone   the rows are there
//!                                └► CopyFail   nothing has happened
//! ```

use futures::FutureExt;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::PgWireFrontendMessage as Frontend;
use pgwire::messages::copy::CopyInResponse;
use tarn_exec::ExecError;
use tarn_planner::statement::CopyFormat;
use tokio::time::Instant;

use super::connection::Connection;
use super::copy_reader::CopyReader;
use super::wire::Received;
use crate::copy_in::{CopyIn, Incoming};
use crate::error::{Error, Result};
use crate::query::CommandTag;

impl Connection {
    /// Takes the client's rows up to their end.
    ///
    /// # Errors
    /// What is wrong with the data, with line and column; the client's own failure. Messages that
    /// the client sends before it notices are skipped by the caller.
    pub(super) async fn receive_copy(&mut self, copy: Box<CopyIn>) -> Result<CommandTag> {
        let n_columns = copy.schema().fields().len();
        let code = i8::from(copy.options().format == CopyFormat::Binary);
        let codes = vec![i16::from(code); n_columns];
        let n_columns = i16::try_from(n_columns).unwrap_or(i16::MAX);
        let response = CopyInResponse::new(code, n_columns, codes);
        self.wire.push(&Backend::CopyInResponse(response))?;
        self.flush().await?;
        let mut incoming = copy.start(self.encode_settings().times.zone);
        match self.receive_rows(&copy, &mut incoming).await {
            Ok(()) => {
                let n_rows = self.watching(incoming.finish().boxed()).await?;
                Ok(CommandTag::with_rows("COPY", n_rows))
            }
            Err(error) => {
                // What was added so far is undone before the client sends something else.
                incoming.stop().await;
                Err(error)
            }
        }
    }

    async fn receive_rows(&mut self, copy: &CopyIn, incoming: &mut Incoming) -> Result<()> {
        // The time that the client takes counts too.
        let deadline = self.session.deadline();
        let is_binary = copy.options().format == CopyFormat::Binary;
        let mut binary =
            is_binary.then(|| CopyReader::new(copy, self.encode_settings().times.zone));
        loop {
            let data = match self.next_copy_message(deadline).await? {
                Frontend::CopyData(data) => data.data,
                Frontend::CopyDone(_) => break,
                Frontend::CopyFail(failure) => {
                    return Err(Error::Value {
                        code: "57014",
                        message: format!("COPY from stdin failed: {}", failure.message),
                    });
                }
                // Clients may send them without a need; they are answered after the copy.
                Frontend::Flush(_) | Frontend::Sync(_) => continue,
                _ => {
                    let message = "unexpected message type during COPY from stdin".to_owned();
                    return Err(Error::Protocol { message });
                }
            };
            // Waits until the table takes the rows, unless the client leaves.
            let Some(reader) = &mut binary else {
                self.watching(incoming.push(&data).boxed()).await?;
                continue;
            };
            reader.push(&data)?;
            for rows in reader.take_batches() {
                self.watching(incoming.send(rows).boxed()).await?;
            }
        }
        if let Some(reader) = binary {
            for rows in reader.finish()? {
                self.watching(incoming.send(rows).boxed()).await?;
            }
        }
        Ok(())
    }

    async fn next_copy_message(&mut self, deadline: Option<Instant>) -> Result<Frontend> {
        let timed_out = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(timed_out);
        let token = self.session.token();
        let ending = self.ending();
        loop {
            match self.wire.take()? {
                Some(Received::Message(message)) => return Ok(message),
                Some(Received::Malformed(_, error)) => return Err(error),
                None => {}
            }
            let open = tokio::select! {
                biased;
                () = token.cancelled() => return Err(ExecError::Cancelled.into()),
                error = ending.wait() => return Err(error),
                () = &mut timed_out => return Err(Error::StatementTimeout),
                open = self.wire.read_some() => open?,
            };
            if !open {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
