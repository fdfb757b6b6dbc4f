//! COPY … FROM STDIN: messages in, rows out.
//!
//! ```text
//!   CopyInResponse ─► CopyData … ─► CopyDone   the rows are added
//!                                └► CopyFail   nothing has happened
//! ```

use futures::FutureExt;
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::PgWireFrontendMessage as Frontend;
use pgwire::messages::copy::CopyInResponse;
use tarn_exec::ExecError;
use tarn_planner::statement::CopyFormat;

use super::connection::Connection;
use super::copy_reader::CopyReader;
use super::wire::Received;
use crate::copy_in::CopyIn;
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
        let mut reader = CopyReader::new(&copy, self.encode_settings().time_zone);
        loop {
            match self.next_copy_message().await? {
                Frontend::CopyData(data) => reader.push(&data.data)?,
                Frontend::CopyDone(_) => break,
                Frontend::CopyFail(failure) => {
                    return Err(Error::Value {
                        code: "57014",
                        message: format!("COPY from stdin failed: {}", failure.message),
                    });
                }
                // Clients may send them without a need; they are answered after the copy.
                Frontend::Flush(_) | Frontend::Sync(_) => {}
                _ => {
                    let message = "unexpected message type during COPY from stdin".to_owned();
                    return Err(Error::Protocol { message });
                }
            }
        }
        let batches = reader.finish()?;
        let n_rows = self.watching(async move { copy.finish(batches).await }.boxed()).await?;
        Ok(CommandTag::with_rows("COPY", n_rows))
    }

    async fn next_copy_message(&mut self) -> Result<Frontend> {
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
                open = self.wire.read_some() => open?,
            };
            if !open {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}
