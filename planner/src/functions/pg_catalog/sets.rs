//! Catalog functions that yield rows: `pg_timezone_names()`, `pg_show_all_settings()`.

use std::sync::Arc;

use crate::functions::datetime::zone::Zone;
use arrow::array::RecordBatch;
use chrono::{Offset, TimeZone, Utc};
use chrono_tz::{OffsetComponents, OffsetName};
use datafusion::catalog::{TableFunction, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, exec_datafusion_err};
use datafusion::datasource::MemTable;
use tarn_catalog::pg_catalog::{keywords, live, settings::settings};

use crate::facts::SessionFacts;

/// The functions that stand in FROM.
pub(super) fn functions() -> Vec<Arc<TableFunction>> {
    let function = |name: &str, rows: Rows| {
        Arc::new(TableFunction::new(name.to_owned(), Arc::new(RowFunction { rows })))
    };
    vec![
        function("pg_timezone_names", |_| Ok(timezone_names()?)),
        function("pg_get_keywords", |_| Ok(keywords()?)),
        function("pg_show_all_settings", |facts| Ok(settings(&facts.settings.all())?)),
    ]
}

type Rows = fn(&SessionFacts) -> Result<RecordBatch>;

#[derive(Debug)]
struct RowFunction {
    rows: Rows,
}

impl TableFunctionImpl for RowFunction {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let options = args.session().config_options();
        let facts = options.extensions.get::<SessionFacts>();
        let facts = facts.ok_or_else(|| exec_datafusion_err!("there is no session"))?;
        let batch = (self.rows)(facts)?;
        Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
    }
}

/// The rows of `pg_timezone_names`, as of now.
///
/// # Errors
/// `Internal` only.
pub fn timezone_names() -> tarn_catalog::Result<RecordBatch> {
    let now = Utc::now().naive_utc();
    let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| {
        let offset = zone.offset_from_utc_datetime(&now);
        let seconds = i64::from(offset.fix().local_minus_utc());
        let name = offset.abbreviation().unwrap_or_else(|| zone.name());
        (zone.name(), name.to_owned(), seconds, !offset.dst_offset().is_zero())
    });
    live::timezone_names(&zones.collect::<Vec<_>>())
}

/// The rows of `pg_timezone_abbrevs`.
///
/// # Errors
/// `Internal` only.
pub fn timezone_abbreviations() -> tarn_catalog::Result<RecordBatch> {
    let rows: Vec<(String, i64, bool)> = Zone::abbreviations()
        .map(|(name, seconds)| {
            // Letters of summer time end in DT or ST after another S: PDT, CEST, BST.
            let name = name.to_ascii_uppercase();
            let summer = name.ends_with("DT") && name.len() > 2
                || ["CEST", "EEST", "MEST", "WEST", "BST", "BDST", "MSD"].contains(&name.as_str());
            (name, i64::from(seconds), summer)
        })
        .collect();
    live::timezone_abbreviations(&rows)
}
