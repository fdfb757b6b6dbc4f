//! SCRAM-SHA-256, with channel binding to the certificate where the connection is encrypted.

use bytes::{Bytes, BytesMut};
use pgwire::api::auth::sasl::scram::{ScramSecret, ScramServerAuth};
use pgwire::messages::PgWireBackendMessage as Backend;
use pgwire::messages::startup::{Authentication, PasswordMessageFamily};

use crate::Shared;
use crate::error::{Error, Result};
use crate::pg::frame;
use crate::pg::wire::Wire;

const PLAIN: &str = "SCRAM-SHA-256";
const PLUS: &str = "SCRAM-SHA-256-PLUS";

/// Checks a password; a role that does not exist gets the same messages after the same work.
///
/// # Errors
/// 28P01 for a wrong password, 08P01 for messages that do not belong to the exchange.
pub(super) async fn authenticate(shared: &Shared, wire: &mut Wire, user: &str) -> Result<()> {
    let denied = || Error::InvalidPassword { user: user.to_owned() };
    let mut scram = ScramServerAuth::new();
    let mut mechanisms = vec![PLAIN.to_owned()];
    if let (true, Some(certificate)) = (wire.is_encrypted(), &shared.certificate_pem)
        && scram.configure_certificate(certificate).is_ok()
    {
        mechanisms.insert(0, PLUS.to_owned());
    }
    wire.push(&Backend::Authentication(Authentication::SASL(mechanisms.clone())))?;
    wire.flush().await?;
    let (mechanism, data) = read_first(wire.next_password().await?)?;
    if !mechanisms.contains(&mechanism) {
        let message = "client selected an invalid SASL authentication mechanism".to_owned();
        return Err(Error::Protocol { message });
    }
    // Binding and mechanism go together; the library looks at the binding only.
    if (mechanism == PLUS) != data.starts_with(b"p=") {
        let message = "malformed SCRAM message: channel binding does not fit the mechanism";
        return Err(Error::Protocol { message: message.to_owned() });
    }
    let secret = shared.users.verifier(user).secret();
    let (challenge, exchange) = scram
        .on_client_first_message_with_secret(&data, secret)
        .map_err(|error| Error::Protocol { message: error.to_string() })?;
    wire.push(&Backend::Authentication(Authentication::SASLContinue(Bytes::from(challenge))))?;
    wire.flush().await?;
    let last = PasswordMessageFamily::Raw(wire.next_password().await?);
    let last = last.into_sasl_response().map_err(|_| denied())?;
    let answer = exchange.on_client_final_message(&last.data).map_err(|_| denied())?;
    if !shared.users.exists(user) {
        return Err(denied());
    }
    wire.push(&Backend::Authentication(Authentication::SASLFinal(Bytes::from(answer))))
}

/// The mechanism and the words of a client's first answer.
pub(super) fn read_first(body: BytesMut) -> Result<(String, Bytes)> {
    frame::check_sasl_initial_response(&body)?;
    let answer = PasswordMessageFamily::Raw(body).into_sasl_initial_response();
    let answer = answer.map_err(|error| Error::Protocol { message: error.to_string() })?;
    Ok((answer.auth_method, answer.data.unwrap_or_default()))
}

/// Whether an exchange can begin with these words, for the fuzzer.
pub(super) fn challenge(data: &[u8]) -> bool {
    let secret = ScramSecret::Verifier {
        salt: vec![0; 16],
        iterations: 4_096,
        stored_key: vec![1; 32],
        server_key: vec![2; 32],
    };
    let exchange = ScramServerAuth::new().on_client_first_message_with_secret(data, secret);
    exchange.is_ok_and(|(_, exchange)| {
        // The same bytes once more stand for a last answer.
        exchange.on_client_final_message(data).is_ok()
    })
}
