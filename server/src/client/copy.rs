//! COPY through the connection, which has messages of its own.

use std::pin::pin;

use futures::StreamExt;

use super::error::{ClientError, Result};
use super::lexer::{Kind, tokens};
use super::query::fresh_interrupts;
use super::session::Session;

/// Which way the rows of a COPY go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copy {
    In,
    Out,
}

/// Tells whether a statement is a COPY through the connection, which has messages of its own.
pub(super) fn direction(sql: &str) -> Option<Copy> {
    let mut words = tokens(sql).filter(|token| token.kind == Kind::Word).map(|token| token.text);
    if !words.next()?.eq_ignore_ascii_case("copy") {
        return None;
    }
    words.find_map(|word| {
        let is = |name: &str| word.eq_ignore_ascii_case(name);
        if is("stdin") {
            Some(Copy::In)
        } else if is("stdout") {
            Some(Copy::Out)
        } else {
            None
        }
    })
}

/// Writes what `COPY … TO STDOUT` sends, as it is.
pub(super) async fn out(session: &mut Session, sql: &str) -> Result<()> {
    session.ensure_connection().await?;
    let Some(connection) = session.take_connection() else {
        return Ok(());
    };
    let mut interrupts = fresh_interrupts(session);
    let mut output = session.open_output();
    let copied = async {
        let mut pieces = pin!(connection.client.copy_out(sql).await?);
        loop {
            tokio::select! {
                Ok(()) = interrupts.changed() => drop(tokio::spawn(connection.cancel_request())),
                piece = pieces.next() => match piece {
                    Some(piece) => output.as_write().write_all(&piece?)?,
                    None => return Ok::<(), ClientError>(()),
                },
            }
        }
    }
    .await;
    let closed = session.close_output(output);
    if !connection.client.is_closed() {
        session.set_same_connection(connection);
    }
    copied?;
    Ok(closed?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_through_the_connection() {
        assert_eq!(direction("COPY t TO STDOUT"), Some(Copy::Out));
        assert_eq!(direction("/* x */ copy t (a) from stdin with csv"), Some(Copy::In));
        assert_eq!(direction("copy t to '/tmp/stdout'"), None);
        assert_eq!(direction("select stdout from copy"), None);
    }
}
