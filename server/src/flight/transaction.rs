//! Transactions.
//!
//! A transaction is a server session of its own in which `BEGIN` was run, so that the statements
//! that name it see one state, and those that do not are outside of it. It starts with the settings
//! and temporary tables of the session that begins it. A client that forgets to
//! end it loses it after a while, or when its own session ends.

use std::sync::Arc;

use arrow_flight::sql::{
    ActionBeginTransactionResult, ActionEndTransactionRequest, EndTransaction,
};
use futures::future::BoxFuture;
use tonic::Status;

use super::auth::Caller;
use super::frontend::{FlightSession, Frontend};
use super::{refusal, statement, update};
use crate::error::Error;
use crate::session;

/// Answers the action `BeginTransaction`.
pub(super) fn begin(
    frontend: &Arc<Frontend>,
    caller: Caller,
) -> BoxFuture<'static, Result<ActionBeginTransactionResult, Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let peer = caller.peer();
        let caller = frontend.session_of(caller).await?;
        let shared = Arc::clone(&caller.session().shared);
        let transaction = frontend.open(&shared, &caller.session().user(), None, peer)?;
        transaction.inherit(&caller);
        run(&transaction, "BEGIN").await?;
        let transaction_id = frontend
            .transactions
            .insert(caller.id(), caller.user(), transaction)
            .map_err(|error| refusal::no_handle("transactions", &error))?;
        Ok(ActionBeginTransactionResult { transaction_id })
    })
}

/// Answers the action `EndTransaction`.
pub(super) fn end(
    frontend: &Arc<Frontend>,
    caller: Caller,
    request: ActionEndTransactionRequest,
) -> BoxFuture<'static, Result<(), Status>> {
    let frontend = Arc::clone(frontend);
    Box::pin(async move {
        let caller = frontend.session_of(caller).await?;
        let text = match EndTransaction::try_from(request.action) {
            Ok(EndTransaction::Commit) => "COMMIT",
            Ok(EndTransaction::Rollback) => "ROLLBACK",
            Ok(EndTransaction::Unspecified) | Err(_) => {
                return Err(refusal::malformed("transaction end", "neither commit nor rollback"));
            }
        };
        let transaction = frontend.transactions.remove(caller.user(), &request.transaction_id);
        let transaction = transaction.ok_or_else(|| refusal::unknown("transaction"))?;
        // COMMIT of a transaction that has failed succeeds in SQL, as a rollback.
        let failed = transaction.session().status() == session::Status::Failed;
        let mut ended = run(&transaction, text).await;
        if failed && text == "COMMIT" {
            ended = ended.and(Err(Error::FailedTransaction.to_status()));
        }
        frontend.close(&transaction);
        ended
    })
}

async fn run(transaction: &Arc<FlightSession>, text: &str) -> Result<(), Status> {
    let prepared = statement::prepare(transaction, text, Vec::new()).await?;
    update::run(transaction, &prepared, Vec::new()).await?;
    Ok(())
}
