//! ALTER DEFAULT PRIVILEGES: the rights on objects to come.

use std::collections::BTreeMap;
use std::sync::Arc;

use tarn_catalog::CatalogError;
use tarn_catalog::log::{Access, DefaultsOf, GrantDef, Securable};
use tarn_catalog::registry::{Expect, grant_entries};
use tarn_catalog::rights::{Kind, PUBLIC_ROLE};
use tarn_planner::statement::{DefaultPrivileges, On, RoleName};

use super::grants::{granted, privileges_of, revoke};
use super::{denied, known_role};
use crate::error::{Error, Result};
use crate::query::CommandTag;
use crate::session::Session;

/// Runs one ALTER DEFAULT PRIVILEGES.
pub(super) fn change(session: &Arc<Session>, asked: &DefaultPrivileges) -> Result<CommandTag> {
    let (of, kind) = match &asked.privileges.on {
        On::Schemas(_) => (DefaultsOf::Schemas, Kind::Schema),
        _ => (DefaultsOf::Relations, Kind::Relation),
    };
    check(session, asked, of)?;
    let creators = match asked.creators.as_slice() {
        [] => vec![session.current_user()],
        named => named.iter().map(|role| creator(session, role)).collect::<Result<_>>()?,
    };
    let grantees: Vec<String> = asked
        .privileges
        .roles
        .iter()
        .map(|role| match role {
            RoleName::Public => Ok(PUBLIC_ROLE.to_owned()),
            other => known_role(session, other),
        })
        .collect::<Result<_>>()?;
    let privileges = privileges_of(&asked.privileges, kind, "relation")?;
    let everywhere = [None];
    let schemas: Vec<Option<String>> = match asked.schemas.as_slice() {
        [] => everywhere.to_vec(),
        named => named.iter().cloned().map(Some).collect(),
    };
    for role in &creators {
        for schema in &schemas {
            let database = session.shared.catalog.database().to_owned();
            let (role, schema) = (role.clone(), schema.clone());
            let begun = Access::owned_by(&role).effective(kind);
            let begun = if schema.is_some() { BTreeMap::new() } else { begun };
            let on = Securable::Defaults { role: role.clone(), database, schema, of };
            let known = session.with_definitions(|all| all.grants_on(&on));
            let mut all = known.clone().unwrap_or_else(|| begun.clone());
            for grantee in &grantees {
                for privilege in &privileges {
                    let option = asked.privileges.option;
                    if asked.privileges.grant {
                        let before = all.get(grantee).cloned();
                        all.insert(grantee.clone(), granted(before, *privilege, &role, option));
                    } else {
                        revoke(&mut all, grantee, *privilege, &asked.privileges)?;
                    }
                }
            }
            put(session, &on, known.unwrap_or_default(), all, &begun);
        }
    }
    Ok(CommandTag::new("ALTER DEFAULT PRIVILEGES"))
}

/// Puts rights on objects to come in the place of those there are.
pub(super) fn put(
    session: &Session,
    on: &Securable,
    known: BTreeMap<String, GrantDef>,
    mut all: BTreeMap<String, GrantDef>,
    begun: &BTreeMap<String, GrantDef>,
) {
    all.retain(|_, grant| !grant.is_empty());
    if all == *begun {
        // As if nothing had been said.
        all.clear();
    } else if let (true, Securable::Defaults { role, .. }) = (all.is_empty(), on) {
        all.insert(role.clone(), GrantDef::by(role));
    }
    for entry in grant_entries(on, &known, &all) {
        session.define(entry, Expect::Any);
    }
}

/// What an object to come begins with without having been told.
pub(super) fn begun(on: &Securable) -> BTreeMap<String, GrantDef> {
    match on {
        Securable::Defaults { role, schema: None, of, .. } => {
            let kind = match of {
                DefaultsOf::Relations => Kind::Relation,
                DefaultsOf::Schemas => Kind::Schema,
            };
            Access::owned_by(role).effective(kind)
        }
        _ => BTreeMap::new(),
    }
}

fn check(session: &Session, asked: &DefaultPrivileges, of: DefaultsOf) -> Result<()> {
    let refused = |message: &str| Error::Refused {
        code: "0LP01",
        message: message.to_owned(),
        detail: None,
        hint: None,
    };
    if !asked.privileges.columns.is_empty() {
        return Err(refused("default privileges cannot be set for columns"));
    }
    let to_public = asked.privileges.roles.contains(&RoleName::Public);
    if asked.privileges.grant && asked.privileges.option && to_public {
        return Err(refused("grant options can only be granted to roles"));
    }
    if of == DefaultsOf::Schemas && !asked.schemas.is_empty() {
        let message = "cannot use IN SCHEMA clause when using GRANT/REVOKE ON SCHEMAS";
        return Err(refused(message));
    }
    match asked.schemas.iter().find(|name| !session.has_schema(name)) {
        Some(name) => Err(CatalogError::SchemaNotFound { name: name.clone() }.into()),
        None => Ok(()),
    }
}

/// The role whose objects are meant.
fn creator(session: &Session, role: &RoleName) -> Result<String> {
    let name = known_role(session, role)?;
    if session.catalog_snapshot().is_member_of(&session.current_user(), &name) {
        return Ok(name);
    }
    Err(denied(format!("must be member of role \"{name}\"")))
}
