//! Reads that go on while nobody polls them.
//!
//! A client's time limit runs from the moment a request is sent. A reader that sends many and then
//! takes the answers one after the other lets the last ones wait: behind one slow answer, they fail
//! although the store has answered them. Here each read is a task of its own that takes the whole
//! answer as soon as it comes.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use ::object_store::path::Path;
use ::object_store::{
    CopyOptions, Error as StoreError, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, RenameOptions, Result as StoreResult,
};
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Handle;

/// Answers that are larger are streamed to whoever asked.
const WHOLE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// A store whose reads are done by tasks of a runtime.
#[derive(Debug)]
pub(crate) struct PromptReads {
    inner: Arc<dyn ObjectStore>,
    runtime: Handle,
}

impl PromptReads {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, runtime: Handle) -> Self {
        Self { inner, runtime }
    }
}

impl fmt::Display for PromptReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// The same answer with its bytes in memory.
async fn taken(answer: GetResult) -> StoreResult<GetResult> {
    if answer.range.end.saturating_sub(answer.range.start) > WHOLE_BYTES_MAX {
        return Ok(answer);
    }
    let GetResult { payload, meta, range, attributes } = answer;
    let payload = match payload {
        GetResultPayload::Stream(parts) => {
            let parts: Vec<StoreResult<Bytes>> =
                parts.try_collect::<Vec<Bytes>>().await?.into_iter().map(Ok).collect();
            GetResultPayload::Stream(futures::stream::iter(parts).boxed())
        }
        file @ GetResultPayload::File(..) => file,
    };
    Ok(GetResult { payload, meta, range, attributes })
}

#[async_trait::async_trait]
impl ObjectStore for PromptReads {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> StoreResult<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> StoreResult<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> StoreResult<GetResult> {
        let (inner, location) = (Arc::clone(&self.inner), location.clone());
        let read = async move { taken(inner.get_opts(&location, options).await?).await };
        self.runtime.spawn(read).await.map_err(StoreError::from)?
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> StoreResult<Vec<Bytes>> {
        let (inner, location) = (Arc::clone(&self.inner), location.clone());
        let ranges = ranges.to_vec();
        let read = async move { inner.get_ranges(&location, &ranges).await };
        self.runtime.spawn(read).await.map_err(StoreError::from)?
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, StoreResult<Path>>,
    ) -> BoxStream<'static, StoreResult<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, StoreResult<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> StoreResult<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
