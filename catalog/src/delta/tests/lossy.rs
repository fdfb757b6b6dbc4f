//! A store whose answers get lost.

use std::fmt;

use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

use super::*;

/// Loses one answer, as told.
#[derive(Debug)]
pub(super) struct Lossy {
    inner: Arc<dyn ObjectStore>,
    next: Mutex<Option<&'static str>>,
    read: Mutex<Vec<String>>,
}

impl fmt::Display for Lossy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lossy")
    }
}

impl Lossy {
    pub(super) fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, next: Mutex::new(None), read: Mutex::default() }
    }

    /// What becomes of the next commit.
    pub(super) fn next(&self, how: &'static str) {
        *self.next.lock() = Some(how);
    }
}

impl Lossy {
    /// The names of what was read since the last call.
    pub(super) fn take_read(&self) -> Vec<String> {
        std::mem::take(&mut self.read.lock())
    }
}

fn lost() -> object_store::Error {
    object_store::Error::Generic { store: "lossy", source: "timeout".into() }
}

impl ObjectStore for Lossy {
    fn put_opts<'life0, 'life1, 'async_trait>(
        &'life0 self,
        location: &'life1 Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<PutResult>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        let is_commit = location.as_ref().ends_with(".json");
        let mut next = self.next.lock();
        // Silence lasts.
        let how = match *next {
            Some("silence") => Some("never arrived").filter(|_| is_commit),
            _ if is_commit => next.take(),
            _ => None,
        };
        drop(next);
        Box::pin(async move {
            match how {
                Some("never arrived") => Err(lost()),
                Some("lost answer") => {
                    self.inner.put_opts(location, payload, opts).await?;
                    Err(lost())
                }
                Some(_) => {
                    self.inner.put_opts(location, payload.clone(), opts.clone()).await?;
                    self.inner.put_opts(location, payload, opts).await
                }
                None => self.inner.put_opts(location, payload, opts).await,
            }
        })
    }

    fn put_multipart_opts<'life0, 'life1, 'async_trait>(
        &'life0 self,
        location: &'life1 Path,
        opts: PutMultipartOptions,
    ) -> std::pin::Pin<
        Box<dyn Future<Output = Result<Box<dyn MultipartUpload>>> + Send + 'async_trait>,
    >
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        self.inner.put_multipart_opts(location, opts)
    }

    fn get_opts<'life0, 'life1, 'async_trait>(
        &'life0 self,
        location: &'life1 Path,
        options: GetOptions,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<GetResult>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        if !options.head {
            self.read.lock().push(location.filename().unwrap_or_default().to_owned());
        }
        self.inner.get_opts(location, options)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_delimiter<'life0, 'life1, 'async_trait>(
        &'life0 self,
        prefix: Option<&'life1 Path>,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<ListResult>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        Self: 'async_trait,
    {
        self.inner.list_with_delimiter(prefix)
    }

    fn copy_opts<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        from: &'life1 Path,
        to: &'life2 Path,
        options: CopyOptions,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<()>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        self.inner.copy_opts(from, to, options)
    }
}
