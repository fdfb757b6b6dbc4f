//! What a statement is told when files were removed that it was about to read.
//!
//! Files of a dropped table go some time after it. A statement that still wants them, on another
//! server or after a long pause, would hear of missing files or of damage.

use std::any::Any;

use datafusion::catalog::TableProvider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use tarn_catalog::CatalogError;
use tarn_catalog::delta::DeltaSnapshot;
use tarn_catalog::registry::Fate;

use crate::error::Error;
use crate::session::Session;

/// A Delta table that a statement reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    table: String,
    location: String,
}

impl Place {
    /// The table of a version; `None` for what is none of a Delta table.
    pub(crate) fn of(provider: &dyn TableProvider) -> Option<Self> {
        let snapshot = provider.downcast_ref::<DeltaSnapshot>()?;
        let (table, location) = (snapshot.name().to_owned(), snapshot.location().to_owned());
        Some(Self { table, location })
    }

    /// The tables of a plan that is held behind `Any`.
    pub(crate) fn of_plan(plan: &(dyn Any + Send + Sync)) -> Vec<Self> {
        let mut places = Vec::new();
        let Some(plan) = plan.downcast_ref::<LogicalPlan>() else { return places };
        let walked = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node
                && let Ok(provider) = source_as_provider(&scan.source)
            {
                places.extend(Self::of(provider.as_ref()));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if let Err(error) = walked {
            tracing::debug!(%error, "not all tables of a plan were found");
        }
        places
    }
}

/// Whether an error may come from files that are not there.
pub(crate) fn may_be_gone(error: &Error) -> bool {
    matches!(error, Error::Exec(_) | Error::Catalog(_))
        && matches!(error.sqlstate(), "58P01" | "XX001")
}

/// What to tell instead of an error, if one of the tables was dropped meanwhile.
pub(crate) async fn told(session: &Session, places: Vec<Place>) -> Option<CatalogError> {
    for place in places {
        if session.has_made_table_at(&place.location) {
            continue;
        }
        let fate = session.shared.catalog.fate_of(&place.table, &place.location).await;
        if fate != Fate::Here {
            return fate.told(&place.table);
        }
    }
    None
}
