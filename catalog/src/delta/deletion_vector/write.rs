//! Writes deletion vectors: all of one statement into one file.
//!
//! Source: Delta protocol, sections "Deletion Vector Format" and "Deletion Vector File Storage
//! Format".

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use roaring::RoaringTreemap;
use uuid::Uuid;

use super::{DeletionVector, MAGIC, crc32, encode_z85};
use crate::delta::unnamed::{Leftovers, Unnamed};
use crate::{CatalogError, Result};

/// The form of the file.
const FILE_VERSION: u8 = 1;

/// A file of deletion vectors that is being filled.
#[derive(Debug)]
pub(in crate::delta) struct VectorFile {
    uuid: Uuid,
    bytes: Vec<u8>,
}

impl VectorFile {
    pub(in crate::delta) fn new() -> Self {
        Self { uuid: Uuid::new_v4(), bytes: vec![FILE_VERSION] }
    }

    /// Appends a vector and says where the log finds it.
    pub(in crate::delta) fn push(&mut self, deleted: &RoaringTreemap) -> Result<DeletionVector> {
        let too_large = || CatalogError::Internal { what: "deletion vector too large".to_owned() };
        let offset = i32::try_from(self.bytes.len()).map_err(|_| too_large())?;
        let mut deleted = deleted.clone();
        deleted.optimize();
        let mut body = MAGIC.to_le_bytes().to_vec();
        deleted.serialize_into(&mut body).map_err(|error| CatalogError::Internal {
            what: format!("deletion vector: {error}"),
        })?;
        let size = i32::try_from(body.len()).map_err(|_| too_large())?;
        self.bytes.extend_from_slice(&size.to_be_bytes());
        self.bytes.extend_from_slice(&body);
        self.bytes.extend_from_slice(&crc32(&body).to_be_bytes());
        Ok(DeletionVector {
            storage_type: "u".to_owned(),
            path_or_inline: encode_z85(self.uuid.as_bytes()),
            offset: Some(offset),
            size_bytes: size,
            cardinality: deleted.len(),
        })
    }

    /// Stores the file in the table's folder; it goes with what is returned, unless that is kept.
    pub(in crate::delta) async fn put(
        self,
        store: &Arc<dyn ObjectStore>,
        root: &Path,
    ) -> Result<Arc<Unnamed>> {
        let path = root.clone().join(format!("deletion_vector_{}.bin", self.uuid));
        let file = Unnamed::new(&Leftovers::new(Arc::clone(store)), path);
        match file.put(self.bytes.into()).await {
            Ok(()) => Ok(file),
            Err(source) => Err(CatalogError::WriteStorage {
                what: format!("deletion vectors {}", file.path()),
                source: Box::new(source),
            }),
        }
    }
}
