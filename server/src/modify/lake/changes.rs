//! What the change data feed of a table says of a statement.
//!
//! Readers take the changes of a commit from its change files if there are any, else from the data
//! files that came and went. So a commit with change files has to list everything in them.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{DataType, Field, Schema};
use tarn_catalog::delta::DeltaSnapshot;
use tarn_planner::write::{Action, Replace, WriteQuery};

use crate::error::Result;
use crate::modify::gate::Gated;
use crate::modify::internal;
use crate::session::Session;

/// The column that says what has become of a row.
const CHANGE_TYPE: &str = "_change_type";

/// Whether the table has a change data feed.
pub(super) fn is_fed(snapshot: &DeltaSnapshot) -> bool {
    snapshot.metadata().is_on("delta.enableChangeDataFeed")
}

/// Whether a statement has to write change files.
pub(super) fn needed(session: &Session, snapshot: &DeltaSnapshot, write: &WriteQuery) -> bool {
    use tarn_planner::write::Effect;
    // A pure append is read from the new files, and so is one that replaces all the others.
    let is_listed = match &write.replaces {
        Some(Replace::Where { .. }) => true,
        Some(Replace::All) | None => write.effect != Effect::Append || session.in_block(),
    };
    is_fed(snapshot) && is_listed
}

/// The rows of the change files.
pub(super) fn of(gated: &Gated) -> Result<Vec<RecordBatch>> {
    let mut changes = Vec::new();
    let kinds: [(Action, &str, bool); 4] = [
        (Action::Insert, "insert", false),
        (Action::Delete, "delete", false),
        (Action::Update, "update_preimage", true),
        (Action::Update, "update_postimage", false),
    ];
    for (action, kind, is_old) in kinds {
        let source = if is_old { &gated.old } else { &gated.values };
        let Some(rows) = source else { continue };
        let of_kind = (0..gated.n_rows).map(|row| Some(gated.action(row) == action));
        let of_kind: BooleanArray = of_kind.collect();
        if of_kind.true_count() == 0 {
            continue;
        }
        let rows = filter_record_batch(rows, &of_kind).map_err(internal)?;
        changes.push(marked(&rows, kind)?);
    }
    Ok(changes)
}

fn marked(rows: &RecordBatch, kind: &str) -> Result<RecordBatch> {
    let mark = Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, false));
    let schema = rows.schema();
    let fields: Vec<_> = schema.fields().iter().cloned().chain([mark]).collect();
    let marks: ArrayRef = Arc::new(StringArray::from(vec![kind; rows.num_rows()]));
    let columns = rows.columns().iter().cloned().chain([marks]).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(internal)
}
