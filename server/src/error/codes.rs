//! The SQLSTATEs of the catalog's errors.

use tarn_catalog::CatalogError;
use tarn_catalog::object_store::StoreFault;

use super::engine::EngineFault;
use super::storage;

pub(super) fn catalog_code(error: &CatalogError) -> &'static str {
    match error {
        CatalogError::TableNotFound { .. } => "42P01",
        CatalogError::SchemaNotFound { .. } => "3F000",
        CatalogError::TableExists { .. } => "42P07",
        CatalogError::SchemaExists { .. } => "42P06",
        CatalogError::Conflict { .. } | CatalogError::Reserved { .. } => "40001",
        CatalogError::HalfCommitted { .. } => "40002",
        CatalogError::DependentObjects { .. } => "2BP01",
        CatalogError::WrongObjectType { .. } => "42809",
        CatalogError::NotWritable { .. } => "25006",
        CatalogError::PartitionValue { .. } => "22023",
        CatalogError::PartitionNull { .. } => "23502",
        CatalogError::TableTooLarge { .. } | CatalogError::MemoryTablesFull { .. } => "53400",
        CatalogError::VersionNotFound { .. } => "22023",
        CatalogError::ChangesNotRecorded { .. } => "55000",
        CatalogError::FilesMissing { .. } => "58P01",
        CatalogError::TravelUnsupported { .. } | CatalogError::UnsupportedFeature { .. } => "0A000",
        CatalogError::UnsupportedColumnType { .. }
        | CatalogError::ColumnMappingNeeded { .. }
        | CatalogError::TypeWideningNeeded { .. } => "0A000",
        CatalogError::InvalidDefinition { .. } => "42P16",
        CatalogError::ReservedColumn { .. } => "42701",
        CatalogError::InvalidProperty { .. } | CatalogError::InvalidFileOption { .. } => "22023",
        CatalogError::FileValue { code, .. } => code,
        CatalogError::Corrupt { .. } | CatalogError::StoredText { .. } => "XX001",
        CatalogError::PathNotFound { .. } => "58P01",
        CatalogError::InvalidLocation { .. } => "22023",
        CatalogError::Storage { source, .. } | CatalogError::WriteStorage { source, .. } => {
            storage::code(StoreFault::of(source.as_ref()))
        }
        CatalogError::CommitUnclear { .. } => "40003",
        CatalogError::CatalogLog { .. } => "58030",
        CatalogError::CatalogDamaged { .. } => "XX001",
        CatalogError::CatalogTooNew { .. } => "0A000",
        CatalogError::SecretKey { .. } => "F0000",
        CatalogError::PermissionDenied { .. } => "42501",
        CatalogError::ObjectNotFound { kind: "database", .. } => "3D000",
        CatalogError::ObjectExists { kind: "database", .. } => "42P04",
        CatalogError::ObjectNotFound { .. } => "42704",
        CatalogError::ObjectExists { .. } => "42710",
        CatalogError::Engine { source, .. } => EngineFault::of(source).code,
        CatalogError::Internal { .. } => "XX000",
    }
}
