//! Finds relations for a session: its search path, its temporary tables, its pinned versions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeZone, Utc};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tarn_catalog::registry::{Cut, Object, Relation as Known};
use tarn_catalog::rights::Privilege;
use tarn_catalog::{CatalogError, Pinned, TableName, TableVersion, Travel};
use tarn_planner::binder::{Found, Lookup, ViewScope};
use tarn_planner::rewrite::{Relation, TravelSpec};

use crate::access::check::Asker;
use crate::error::Result;
use crate::gone::Place;
use crate::session::{Session, Status};
use crate::system_tables;

/// The schema of a session's temporary tables.
pub(crate) const TEMPORARY: &str = "pg_temp";

/// The versions that one statement reads, however often it is bound; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct StatementView {
    /// What the statement has pinned: a table that it names twice, perhaps through a view, has one
    /// version.
    pinned: Arc<Mutex<HashMap<(TableName, Travel), Pinned>>>,
    /// The moment at which it sees transactions over several tables.
    cut: Cut,
}

impl StatementView {
    pub(crate) fn new(session: &Session) -> Self {
        Self { pinned: Arc::default(), cut: session.cut() }
    }

    /// The moment at which it sees transactions over several tables.
    pub(crate) fn cut(&self) -> &Cut {
        &self.cut
    }

    /// Lets the statement see a table in this state.
    pub(crate) fn put(&self, name: &TableName, pinned: Pinned) {
        self.pinned.lock().insert((name.clone(), Travel::Latest), pinned);
    }

    /// The Delta tables that it has pinned.
    pub(crate) fn places(&self) -> Vec<Place> {
        let pinned = self.pinned.lock();
        pinned.values().filter_map(|pinned| Place::of(pinned.provider.as_ref())).collect()
    }
}

/// The binder's view of the catalog for one statement.
pub(crate) struct SessionLookup<'a> {
    session: &'a Arc<Session>,
    view: StatementView,
}

impl<'a> SessionLookup<'a> {
    pub(crate) fn new(session: &'a Arc<Session>) -> Self {
        Self { session, view: StatementView::new(session) }
    }

    /// A lookup that gives the versions which others of the same statement have given.
    pub(crate) fn seeing(session: &'a Arc<Session>, view: &StatementView) -> Self {
        Self { session, view: view.clone() }
    }

    /// The version that a statement beginning now would read; `None` if the table is gone.
    pub(crate) async fn version_now(&self, name: &TableName) -> Result<Option<TableVersion>> {
        match self.pin(name, Travel::Latest).await {
            Ok(pinned) => Ok(Some(pinned.version)),
            Err(CatalogError::TableNotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The full name and what it stands for.
    pub(crate) fn resolve(&self, schema: Option<&str>, table: &str) -> Option<(TableName, Known)> {
        if schema.is_none_or(|schema| self.session.is_temporary_schema(schema)) {
            let name = TableName::new(TEMPORARY, table);
            if let Some(known) = self.session.relation(&name) {
                return Some((name, known));
            }
        }
        let path = match schema {
            Some(schema) => vec![schema.to_owned()],
            None => self.session.search_path(),
        };
        let find = |schema: &String| {
            let name = TableName::new(schema, table);
            let known = self.session.relation(&name)?;
            Some((name, known))
        };
        let asker = Asker::of(self.session);
        // As in PostgreSQL: what is in schemas that the role may not use is not there.
        path.iter().filter(|s| schema.is_some() || asker.may_use(s)).find_map(find)
    }

    /// As [`Self::resolve`], with another look at storage for a name that is not known.
    ///
    /// # Errors
    /// What keeps storage from being searched, or the table from being opened.
    pub(crate) async fn search(
        &self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Option<(TableName, Known)>, CatalogError> {
        if let Some(known) = self.resolve(schema, table) {
            return Ok(Some(known));
        }
        // A table may have been added to storage since the last search.
        self.session.shared.catalog.rescan_since(Instant::now()).await?;
        match self.resolve(schema, table) {
            Some(known) => Ok(Some(known)),
            None => self.unopened(schema, table).await,
        }
    }

    /// A table that the last search of storage has seen and left out.
    ///
    /// # Errors
    /// What keeps it from being opened.
    async fn unopened(
        &self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Option<(TableName, Known)>, CatalogError> {
        let path = match schema {
            Some(schema) => vec![schema.to_owned()],
            None => self.session.search_path(),
        };
        let asker = Asker::of(self.session);
        for schema in path.into_iter().filter(|schema| asker.may_use(schema)) {
            let name = TableName::new(schema, table);
            match self.session.shared.catalog.get_unopened(&name).await {
                Ok(Some(known)) => return Ok(Some((name, known))),
                Ok(None) => {}
                // What cannot be opened is nobody's but the superusers'.
                Err(_) if !asker.is_superuser() => {
                    let name = name.table().to_owned();
                    return Err(CatalogError::PermissionDenied { kind: "table", name });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    async fn find_relation(
        &self,
        relation: &Relation,
        within: Option<&ViewScope>,
    ) -> Result<Option<Found>, CatalogError> {
        let catalog = &self.session.shared.catalog;
        if let Some(database) = &relation.database
            && database != catalog.database()
        {
            return Err(CatalogError::WrongObjectType {
                name: format!("{database}.{}", relation.table),
                expected: "in this database; cross-database references are not possible",
            });
        }
        let travel = travel_of(relation)?;
        let Ok(schema) = schema_within(relation, within) else { return Ok(None) };
        let schema = schema.as_deref();
        if relation.call.is_none()
            && let Some(found) = self.find_system(schema, &relation.table)?
        {
            if let Found::Table { name, .. } = &found {
                self.asker(within).require(name, None, &[Privilege::Select])?;
            }
            return Ok(Some(found));
        }
        // As in PostgreSQL: who may not look into a schema is not told what is not in it.
        if let Some(schema) = schema.filter(|schema| self.session.has_schema(schema)) {
            self.asker(within).require_usage(schema)?;
        }
        let known = match relation.maybe_cte {
            true => self.resolve(schema, &relation.table),
            false => self.search(schema, &relation.table).await?,
        };
        // Also where the schema is missing, as in PostgreSQL.
        let Some((name, known)) = known else { return Ok(None) };
        let limit = self.asker(within).require_columns(&name, &known)?;
        // Rights on columns are about those of today: the past had others of the same names.
        if let Some(limit) = &limit
            && (relation.call.is_some()
                || travel != Travel::Latest
                || self.session.reads_snapshot())
        {
            return Err(limit.denied());
        }
        if let Some(call) = &relation.call {
            return crate::history::find(self, &name, &known, call).await.map(Some);
        }
        let found = self.pinned_relation(name, known, travel).await?;
        Ok(Some(match limit {
            Some(limit) => Found::Limited(Box::new(found), limit),
            None => found,
        }))
    }

    async fn pinned_relation(
        &self,
        name: TableName,
        known: Known,
        travel: Travel,
    ) -> Result<Found, CatalogError> {
        if let Known::View { definition } = known {
            if travel == Travel::Latest {
                let object = self.session.object(&name);
                let scope = self.scope_of(&name, object.as_ref());
                let columns = object.map(|object| object.columns).unwrap_or_default();
                let columns = columns.into_iter().map(|column| column.name).collect();
                return Ok(Found::View { name, definition, columns, scope });
            }
            let table = name.table().to_owned();
            return Err(CatalogError::TravelUnsupported { table, format: "view" });
        }
        let pinned = self.pin(&name, travel).await?;
        let version = Some(pinned.version);
        Ok(Found::Table { name, provider: pinned.provider, version })
    }

    /// Whose rights count.
    fn asker(&self, within: Option<&ViewScope>) -> Asker {
        match within {
            Some(scope) => Asker::role(self.session, scope.owner.clone()),
            None => Asker::of(self.session),
        }
    }

    /// What the names inside of a view mean, and whose rights count there.
    fn scope_of(&self, view: &TableName, object: Option<&Object>) -> Arc<ViewScope> {
        let owner = match object {
            // The session's own.
            _ if view.schema() == TEMPORARY => self.session.current_user(),
            Some(object) => object.access.owner().to_owned(),
            None => self.session.current_user(),
        };
        let depends_on = object.map(|object| object.depends_on.clone()).unwrap_or_default();
        Arc::new(ViewScope { owner, depends_on })
    }

    /// `pg_catalog` is searched before everything else, as in PostgreSQL.
    fn find_system(
        &self,
        schema: Option<&str>,
        table: &str,
    ) -> Result<Option<Found>, CatalogError> {
        let schemas = match schema {
            Some(schema) => vec![schema.to_owned()],
            None => {
                let path = self.session.search_path();
                let system =
                    path.into_iter().filter(|s| system_tables::SCHEMAS.contains(&s.as_str()));
                ["pg_catalog".to_owned()].into_iter().chain(system).collect()
            }
        };
        for schema in schemas {
            if let Some(provider) = system_tables::provider(self.session, &schema, table)? {
                let name = TableName::new(schema, table);
                return Ok(Some(Found::Table { name, provider, version: None }));
            }
        }
        Ok(None)
    }

    /// Pins a table, once for the statement.
    pub(crate) async fn pin(
        &self,
        name: &TableName,
        travel: Travel,
    ) -> Result<Pinned, CatalogError> {
        let key = (name.clone(), travel.clone());
        if let Some(pinned) = self.view.pinned.lock().get(&key) {
            return Ok(pinned.clone());
        }
        let pinned = self.pin_for_transaction(name, travel).await?;
        self.view.pinned.lock().insert(key, pinned.clone());
        Ok(pinned)
    }

    /// Pins a table; inside a transaction every statement gets the version that the first one got,
    /// until the transaction writes the table.
    async fn pin_for_transaction(
        &self,
        name: &TableName,
        travel: Travel,
    ) -> Result<Pinned, CatalogError> {
        if name.schema() == TEMPORARY || self.session.is_changed(name) {
            let table: Arc<dyn tarn_catalog::LakeTable> = match self.session.relation(name) {
                Some(Known::Memory(table)) => table,
                Some(Known::Lake(table)) => table,
                Some(Known::View { .. }) | None => {
                    return Err(CatalogError::TableNotFound { name: name.to_string() });
                }
            };
            return table.pin(travel).await;
        }
        if travel == Travel::Latest
            && let Some(pinned) = crate::snapshot::pin(self.session, name).await?
        {
            return Ok(pinned);
        }
        let in_transaction = self.session.status() != Status::Idle;
        let key = (name.clone(), travel.clone());
        if in_transaction && let Some(pinned) = self.session.inner.lock().pins.get(&key) {
            return Ok(pinned.clone());
        }
        let catalog = &self.session.shared.catalog;
        let pinned = match (&travel, crate::snapshot::travel(self.session, name, travel.clone())) {
            (Travel::Latest, travel) => catalog.pin_at(name, travel, self.view.cut()).await?,
            (_, travel) => catalog.pin(name, travel).await?,
        };
        if in_transaction {
            self.session.inner.lock().pins.insert(key, pinned.clone());
        }
        Ok(pinned)
    }
}

impl Lookup for SessionLookup<'_> {
    fn find<'a>(
        &'a self,
        relation: &'a Relation,
        within: Option<&'a ViewScope>,
    ) -> BoxFuture<'a, Result<Option<Found>, CatalogError>> {
        Box::pin(self.find_relation(relation, within))
    }

    fn suggest(&self, relation: &Relation) -> Option<String> {
        let snapshot = self.session.catalog_snapshot();
        let asker = Asker::of(self.session);
        let tables = snapshot
            .schemas
            .iter()
            .filter(|schema| !system_tables::SCHEMAS.contains(&schema.name.as_str()))
            .filter(|schema| asker.may_use(&schema.name))
            .flat_map(|schema| schema.tables.iter());
        let distance = |name: &str| {
            datafusion::common::utils::datafusion_strsim::levenshtein(name, &relation.table)
        };
        tables
            .map(|table| (distance(&table.name), &table.name))
            .filter(|(distance, _)| *distance <= 2)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, name)| name.clone())
    }
}

/// The schema in which a view has found a name without one when it was made; an error where it is
/// no relation's, or several could be meant.
fn schema_within(relation: &Relation, within: Option<&ViewScope>) -> Result<Option<String>, ()> {
    let (Some(scope), None) = (within, &relation.schema) else {
        return Ok(relation.schema.clone());
    };
    let named = |name: &&TableName| name.table() == relation.table;
    let mut known = scope.depends_on.iter().filter(named).map(|name| name.schema().to_owned());
    match (known.next(), known.next()) {
        (Some(schema), None) => Ok(Some(schema)),
        // The reader's search path must not choose what is read with the owner's rights.
        // CREATE VIEW refuses such views; older ones have to be made again.
        (Some(_), Some(_)) => Err(()),
        // The query of a WITH.
        (None, _) if relation.maybe_cte => Err(()),
        (None, _) => Ok(None),
    }
}

fn travel_of(relation: &Relation) -> Result<Travel, CatalogError> {
    match &relation.travel {
        TravelSpec::Latest => Ok(Travel::Latest),
        TravelSpec::Version(version) => Ok(Travel::Version(*version)),
        TravelSpec::Timestamp(text) => match parse_instant(text) {
            Some(at) => Ok(Travel::Timestamp(at)),
            None => Err(CatalogError::VersionNotFound {
                table: relation.table.clone(),
                version: text.clone(),
                available: "write a time such as '2026-01-31 12:00:00+00'".to_owned(),
            }),
        },
    }
}

/// Reads a time with or without a zone (then UTC) or a date (then its first moment).
pub(crate) fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let with_zone =
        ["%Y-%m-%d %H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%d %H:%M:%S%.f %#z"];
    for format in with_zone {
        if let Ok(at) = DateTime::parse_from_str(text, format) {
            return Some(at.with_timezone(&Utc));
        }
    }
    let plain = text.trim_end_matches('Z').trim_end_matches(" UTC");
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(plain, format) {
            return Some(Utc.from_utc_datetime(&at));
        }
    }
    let date = NaiveDate::parse_from_str(plain, "%Y-%m-%d").ok()?;
    Some(Utc.from_utc_datetime(&date.and_hms_opt(0, 0, 0)?))
}
