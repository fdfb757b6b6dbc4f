//! Tickets, prepared statements and tokens that are wrong, used up or someone else's.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tarn_catalog::log::{Entry, RoleDef};
use tarn_catalog::registry::{Change, Expect};
use tarn_server::config::AuthMode;
use tarn_tests::harness::Server;
use tonic::Code;

use super::caller::{Caller, any, check_refused, check_told, endpoint_of, field, ticket_of};
use crate::hostile::Seeded;

const UNKNOWN: (Code, &str) = (Code::NotFound, "26000");
const UNAUTHENTICATED: (Code, &str) = (Code::Unauthenticated, "28000");

/// A ticket for a handle of one's own making.
fn forged(handle: &[u8]) -> Bytes {
    any("TicketStatementQuery", &field(1, handle))
}

fn refused<T>(what: &str, answer: Result<T, tonic::Status>, how: (Code, &str)) -> Result<()> {
    check_refused(what, answer, how.0, how.1)
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_cannot_be_made_up() -> Result<()> {
    let server = Server::start(&[]).await?;
    let mut caller = Caller::connect(server.flight_addr()?).await?;
    let ticket = ticket_of(&caller.plan("SELECT 1").await?)?;
    for handle in [vec![], vec![0], vec![0; 31], vec![0; 32], vec![0; 33], vec![7; 1 << 20]] {
        let what = format!("a handle of {} bytes", handle.len());
        refused(&what, caller.read(forged(&handle)).await, UNKNOWN)?;
        let prepared = any("CommandPreparedStatementQuery", &field(1, &handle));
        refused(&what, caller.info(prepared.clone()).await, UNKNOWN)?;
        refused(&what, caller.schema(prepared.clone()).await, UNKNOWN)?;
        refused(&what, caller.read(prepared).await, UNKNOWN)?;
        let info = field(1, &field(3, &endpoint_of(&forged(&handle))));
        refused(&what, caller.action("CancelFlightInfo", info.into()).await, UNKNOWN)?;
        let endpoint = field(1, &endpoint_of(&forged(&handle)));
        refused(&what, caller.action("RenewFlightEndpoint", endpoint.into()).await, UNKNOWN)?;
    }
    // One that was given, with one bit turned over.
    let mut random = Seeded(0x7a72_6e00_2026);
    for _ in 0..200 {
        let mut changed = ticket.to_vec();
        changed[random.below(ticket.len())] ^= 1 << random.below(8);
        let answer = caller.read(changed.into()).await;
        ensure!(answer.is_err(), "a changed ticket was taken");
        check_told("a changed ticket", answer)?;
    }
    ensure!(caller.read(ticket).await? == 1, "the ticket that was given");
    server.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_end() -> Result<()> {
    let server = Server::start(&[]).await?;
    let addr = server.flight_addr()?;
    let mut caller = Caller::login(addr, "tarn", "").await?;
    let used = ticket_of(&caller.plan("SELECT 1").await?)?;
    ensure!(caller.read(used.clone()).await? == 1);
    refused("a used ticket", caller.read(used).await, UNKNOWN)?;
    let cancelled = ticket_of(&caller.plan("SELECT 1").await?)?;
    let info = Bytes::from(field(1, &field(3, &endpoint_of(&cancelled))));
    caller.action("CancelFlightInfo", info.clone()).await?;
    refused("a cancelled ticket", caller.read(cancelled).await, UNKNOWN)?;
    refused("cancelled twice", caller.action("CancelFlightInfo", info).await, UNKNOWN)?;
    let handle = caller.prepare("SELECT 1").await?;
    let prepared = any("CommandPreparedStatementQuery", &field(1, &handle));
    let left = ticket_of(&caller.info(prepared.clone()).await?)?;
    caller.close(&handle).await?;
    caller.close(&handle).await?;
    refused("a closed statement", caller.info(prepared.clone()).await, UNKNOWN)?;
    refused("a closed statement", caller.read(prepared).await, UNKNOWN)?;
    ensure!(caller.read(left).await? == 1, "a ticket outlives its statement");
    // What a session leaves behind is nobody's any more.
    let ticket = ticket_of(&caller.plan("SELECT 1").await?)?;
    let handle = caller.prepare("SELECT 1").await?;
    let prepared = any("CommandPreparedStatementQuery", &field(1, &handle));
    let mut other = Caller::login(addr, "tarn", "").await?;
    caller.action("CloseSession", Bytes::new()).await?;
    refused("a ticket of a closed session", other.read(ticket).await, UNKNOWN)?;
    refused("a statement of a closed session", other.info(prepared).await, UNKNOWN)?;
    refused("a token of a closed session", caller.query("SELECT 1").await, UNAUTHENTICATED)?;
    other.check_alive().await?;
    server.stop().await;
    Ok(())
}

/// Two users on a server that wants passwords.
#[tokio::test(flavor = "multi_thread")]
async fn handles_belong_to_their_user() -> Result<()> {
    let server = Server::start_with(&[], |config| {
        config.auth = AuthMode::Scram;
        config.password = Some("secret".to_owned());
    })
    .await?;
    let (addr, catalog) = (server.flight_addr()?, server.shared().catalog.clone());
    let role = RoleDef { oid: 0, superuser: false, ..catalog.role("tarn").context("no role")? };
    let entry = Entry::PutRole { name: "ann".to_owned(), role };
    catalog.commit(vec![Change::Define { entry, expect: Expect::New }]).await?;
    let mut tarn = Caller::login(addr, "tarn", "secret").await?;
    let mut ann = Caller::login(addr, "ann", "secret").await?;
    let ticket = ticket_of(&tarn.plan("SELECT 1").await?)?;
    let handle = tarn.prepare("SELECT 1").await?;
    let prepared = any("CommandPreparedStatementQuery", &field(1, &handle));
    refused("another user's ticket", ann.read(ticket.clone()).await, UNKNOWN)?;
    refused("another user's statement", ann.info(prepared.clone()).await, UNKNOWN)?;
    refused("another user's statement", ann.read(prepared.clone()).await, UNKNOWN)?;
    let info = field(1, &field(3, &endpoint_of(&ticket)));
    refused("cancelled by another", ann.action("CancelFlightInfo", info.into()).await, UNKNOWN)?;
    // Closing what one does not have says nothing and does nothing.
    ann.close(&handle).await?;
    ensure!(tarn.read(ticket).await? == 1);
    ensure!(tarn.read(prepared).await? == 1);
    check_tokens(addr, &tarn).await?;
    tarn.check_alive().await?;
    ann.check_alive().await?;
    server.stop().await;
    Ok(())
}

async fn check_tokens(addr: std::net::SocketAddr, good: &Caller) -> Result<()> {
    let mut anonymous = Caller::connect(addr).await?;
    refused("no credentials", anonymous.query("SELECT 1").await, UNAUTHENTICATED)?;
    let wrong = (Code::Unauthenticated, "28P01");
    refused("a wrong password", anonymous.handshake("tarn", "wrong").await, wrong)?;
    refused("an unknown role", anonymous.handshake("bob", "secret").await, wrong)?;
    let text = good.token();
    let (short, long) = (&text[..text.len() - 4], format!("{text}AAAA"));
    let changed = text.replace(&text[..1], if text.starts_with('A') { "B" } else { "A" });
    for token in ["", "x", "not base64!", short, &long, &changed, &"A".repeat(8_000)] {
        let mut caller = anonymous.with_token(token);
        let what = format!("token {token}");
        refused(&what, caller.query("SELECT 1").await, UNAUTHENTICATED)?;
        refused(&what, caller.prepare("SELECT 1").await, UNAUTHENTICATED)?;
        refused(&what, caller.read(forged(&[7; 32])).await, UNAUTHENTICATED)?;
        refused(&what, caller.action("CloseSession", Bytes::new()).await, UNAUTHENTICATED)?;
    }
    // A token is good on any connection.
    anonymous.with_token(text).check_alive().await
}
