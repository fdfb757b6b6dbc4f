//! The bytes of one file on their way to storage: in one request, or in parts when there are many.
//!
//! ```text
//! Held ──more than a part──▶ Sending ──complete──▶ Ended
//!   └───────────complete, one put───────────────────▲
//! ```
//! Dropped before its end it gives the upload up, so that storage keeps no parts that nobody sees
//! and somebody pays for.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::{MultipartUpload, PutPayloadMut, Result as StoreResult};
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::errors::{ParquetError, Result as ParquetResult};
use tokio::task::JoinSet;

use crate::delta::log_upkeep::in_background;
use crate::delta::unnamed::Unnamed;

/// What is sent to storage at a time; smaller files are one request.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts of a file that are on their way at a time.
const N_PARTS_MAX: usize = 8;

/// Takes the bytes of a file.
#[derive(Debug)]
pub(super) struct Upload {
    file: Arc<Unnamed>,
    state: State,
}

#[derive(Debug)]
enum State {
    Held(PutPayloadMut),
    Sending(Sending),
    Ended,
}

impl Upload {
    /// Nothing is sent before there is enough for a part.
    pub(super) fn new(file: Arc<Unnamed>) -> Self {
        Self { file, state: State::Held(PutPayloadMut::new()) }
    }

    async fn push(&mut self, bytes: Bytes) -> StoreResult<()> {
        // Whatever ends this early has ended the file: it must not be completed without these bytes.
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Held(mut held) => {
                held.push(bytes);
                if held.content_length() < PART_BYTES {
                    self.state = State::Held(held);
                    return Ok(());
                }
                let file = Arc::clone(&self.file);
                let mut sending =
                    self.file.begin_parts(move |upload| Sending::new(file, upload)).await?;
                for chunk in held.freeze() {
                    sending.push(chunk);
                }
                self.state = State::Sending(sending);
                Ok(())
            }
            State::Sending(mut sending) => {
                sending.wait_below(N_PARTS_MAX).await?;
                sending.push(bytes);
                self.state = State::Sending(sending);
                Ok(())
            }
            State::Ended => Err(ended()),
        }
    }

    async fn end(&mut self) -> StoreResult<()> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Held(held) => self.file.put(held.freeze()).await,
            State::Sending(sending) => self.file.to_the_end(sending.end()).await,
            State::Ended => Err(ended()),
        }
    }
}

fn ended() -> object_store::Error {
    object_store::Error::Generic { store: "upload", source: "the file is complete".into() }
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, ParquetResult<()>> {
        self.push(bytes).map(|done| done.map_err(external)).boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, ParquetResult<()>> {
        self.end().map(|done| done.map_err(external)).boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// An upload in parts, given up when it is dropped before its end.
#[derive(Debug)]
struct Sending {
    file: Arc<Unnamed>,
    /// `None` once it is complete.
    upload: Option<Box<dyn MultipartUpload>>,
    parts: JoinSet<StoreResult<()>>,
    held: PutPayloadMut,
}

impl Sending {
    fn new(file: Arc<Unnamed>, upload: Box<dyn MultipartUpload>) -> Self {
        Self { file, upload: Some(upload), parts: JoinSet::new(), held: PutPayloadMut::new() }
    }

    /// Sends whole parts: stores want them of one size, but for the last.
    fn push(&mut self, mut bytes: Bytes) {
        while !bytes.is_empty() {
            let room = PART_BYTES.saturating_sub(self.held.content_length());
            self.held.push(bytes.split_to(room.min(bytes.len())));
            if self.held.content_length() >= PART_BYTES {
                self.send();
            }
        }
    }

    fn send(&mut self) {
        let part = std::mem::take(&mut self.held).freeze();
        if let Some(upload) = &mut self.upload {
            self.parts.spawn(upload.put_part(part));
        }
    }

    /// Waits until fewer parts are on their way.
    async fn wait_below(&mut self, n_parts: usize) -> StoreResult<()> {
        while self.parts.len() >= n_parts.max(1) {
            match self.parts.join_next().await {
                Some(Ok(sent)) => sent?,
                Some(Err(source)) => return Err(object_store::Error::JoinError { source }),
                None => return Ok(()),
            }
        }
        Ok(())
    }

    async fn end(mut self) -> StoreResult<()> {
        if self.held.content_length() > 0 {
            self.send();
        }
        self.wait_below(1).await?;
        if let Some(upload) = &mut self.upload {
            upload.complete().await?;
        }
        self.upload = None;
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let Some(mut upload) = self.upload.take() else { return };
        let (file, mut parts) = (Arc::clone(&self.file), std::mem::take(&mut self.parts));
        in_background(async move {
            parts.shutdown().await;
            if let Err(error) = upload.abort().await {
                tracing::debug!(path = %file.path(), %error, "an upload could not be given up");
            }
        });
    }
}
