//! Objects in memory, their conditions, and lists of them in S3's XML.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::http::{Request, Response};

/// All objects have this time: what tells them apart is their generation.
const MODIFIED: (&str, &str) = ("Sat, 21 Nov 2026 10:00:00 GMT", "2026-11-21T10:00:00.000Z");

#[derive(Debug, Clone)]
struct Object {
    bytes: Vec<u8>,
    generation: u64,
}

#[derive(Debug, Default)]
struct Contents {
    objects: BTreeMap<String, Object>,
    uploads: BTreeMap<String, BTreeMap<u32, Vec<u8>>>,
    n_puts: u64,
}

/// One bucket; each call is atomic.
#[derive(Debug, Default)]
pub(super) struct Bucket(Mutex<Contents>);

impl Bucket {
    fn lock(&self) -> std::sync::MutexGuard<'_, Contents> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Puts an object if `may` agrees with the generation that is there.
    pub(super) fn put(
        &self,
        key: &str,
        bytes: &[u8],
        may: impl Fn(Option<u64>) -> bool,
    ) -> Response {
        let mut contents = self.lock();
        let there = contents.objects.get(key).map(|object| object.generation);
        if !may(there) {
            return Response::new(412, error("PreconditionFailed"));
        }
        contents.n_puts += 1;
        let generation = contents.n_puts;
        contents.objects.insert(key.to_owned(), Object { bytes: bytes.to_vec(), generation });
        described(Response::new(200, ""), generation)
    }

    pub(super) fn get(&self, key: &str, request: &Request) -> Response {
        let object = self.lock().objects.get(key).cloned();
        let Some(object) = object else {
            let mut missing = Response::new(404, error("NoSuchKey"));
            missing.head_only = request.method == "HEAD";
            return missing;
        };
        let total = object.bytes.len();
        let range = request.header("range").and_then(|text| range_of(text, total));
        let mut response = match range {
            Some(range) => {
                let shown = format!("bytes {}-{}/{total}", range.start, range.end - 1);
                let part = object.bytes.get(range).unwrap_or_default().to_vec();
                Response::new(206, part).with("content-range", shown)
            }
            None => Response::new(200, object.bytes),
        };
        response.head_only = request.method == "HEAD";
        described(response, object.generation)
    }

    pub(super) fn delete(&self, key: &str) -> Response {
        match self.lock().objects.remove(key) {
            Some(_) => Response::new(204, ""),
            None => Response::new(404, error("NoSuchKey")),
        }
    }

    pub(super) fn copy(&self, from: &str, to: &str, only_new: bool) -> Response {
        let Some(object) = self.lock().objects.get(from).cloned() else {
            return Response::new(404, error("NoSuchKey"));
        };
        self.put(to, &object.bytes, |there| !only_new || there.is_none())
    }

    pub(super) fn start_upload(&self, key: &str) -> Response {
        let mut contents = self.lock();
        contents.n_puts += 1;
        let id = format!("upload-{}", contents.n_puts);
        contents.uploads.insert(id.clone(), BTreeMap::new());
        let text = format!(
            "<InitiateMultipartUploadResult><Key>{}</Key><UploadId>{id}</UploadId>\
             </InitiateMultipartUploadResult>",
            escaped(key)
        );
        Response::new(200, text)
    }

    pub(super) fn put_part(&self, id: &str, number: u32, bytes: &[u8]) -> Response {
        match self.lock().uploads.get_mut(id) {
            Some(parts) => {
                parts.insert(number, bytes.to_vec());
                Response::new(200, "").with("etag", format!("\"part-{number}\""))
            }
            None => Response::new(404, error("NoSuchUpload")),
        }
    }

    pub(super) fn finish_upload(&self, id: &str, key: &str) -> Response {
        let Some(parts) = self.lock().uploads.remove(id) else {
            return Response::new(404, error("NoSuchUpload"));
        };
        let bytes: Vec<u8> = parts.into_values().flatten().collect();
        let put = self.put(key, &bytes, |_| true);
        let body = "<CompleteMultipartUploadResult><ETag>\"done\"</ETag>\
                    </CompleteMultipartUploadResult>";
        Response { body: body.into(), ..put }
    }

    /// Version 2 of S3's list of objects.
    pub(super) fn list(&self, request: &Request) -> Response {
        let parameter = |name| request.parameter(name).unwrap_or_default();
        let (prefix, delimiter) = (parameter("prefix"), parameter("delimiter"));
        let after = request.parameter("continuation-token").unwrap_or(parameter("start-after"));
        let n_max = parameter("max-keys").parse().unwrap_or(1000_usize);
        let (mut found, mut folders, mut last) = (String::new(), Vec::new(), None);
        for (key, object) in &self.lock().objects {
            let Some(rest) = key.strip_prefix(&prefix).filter(|_| *key > after) else { continue };
            if !delimiter.is_empty()
                && let Some((folder, _)) = rest.split_once(&delimiter)
            {
                let folder = format!("{prefix}{folder}{delimiter}");
                if !folders.contains(&folder) {
                    folders.push(folder);
                }
                continue;
            }
            if last.as_ref().is_some_and(|(n, _)| *n == n_max) {
                let token = last.map(|(_, key): (usize, String)| key).unwrap_or_default();
                let more =
                    format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(&token));
                return Response::new(200, listing(&format!("{found}{more}"), &folders));
            }
            found += &format!(
                "<Contents><Key>{}</Key><LastModified>{}</LastModified>\
                 <ETag>\"{}\"</ETag><Size>{}</Size></Contents>",
                escaped(key),
                MODIFIED.1,
                object.generation,
                object.bytes.len()
            );
            last = Some((last.map_or(0, |(n, _)| n) + 1, key.clone()));
        }
        Response::new(200, listing(&found, &folders))
    }
}

fn listing(contents: &str, folders: &[String]) -> String {
    let folders: String = folders
        .iter()
        .map(|f| format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(f)))
        .collect();
    format!("<ListBucketResult>{contents}{folders}</ListBucketResult>")
}

/// An error in the form that S3 and Google share.
pub(super) fn error(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{code}</Message></Error>")
}

fn described(response: Response, generation: u64) -> Response {
    response
        .with("etag", format!("\"{generation}\""))
        .with("x-goog-generation", generation)
        .with("last-modified", MODIFIED.0)
}

/// `bytes=a-b`, `bytes=a-` and `bytes=-n`.
fn range_of(text: &str, total: usize) -> Option<std::ops::Range<usize>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (first.parse::<usize>().ok(), last.parse::<usize>().ok()) {
        (Some(first), Some(last)) => first..total.min(last + 1),
        (Some(first), None) => first..total,
        (None, Some(n)) => total.saturating_sub(n)..total,
        (None, None) => return None,
    };
    (range.start < range.end).then_some(range)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
