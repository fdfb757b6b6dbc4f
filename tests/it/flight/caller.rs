//! A connection, its calls, and protobuf by hand.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, FlightData, FlightDescriptor, FlightInfo, HandshakeRequest, Ticket};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

/// A field of a protobuf message that holds bytes, a text or a message.
pub(super) fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = value.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).expect("seven bits") | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).expect("seven bits"));
    out.extend_from_slice(value);
    out
}

/// A message of Flight SQL in its envelope.
pub(super) fn any(name: &str, value: &[u8]) -> Bytes {
    let url = format!("type.googleapis.com/arrow.flight.protocol.sql.{name}");
    [field(1, url.as_bytes()), field(2, value)].concat().into()
}

/// The fields of a protobuf message that hold bytes, by number.
pub(super) fn bytes_of(message: &[u8], number: u8) -> Option<Bytes> {
    let mut rest = message;
    while let [key, tail @ ..] = rest {
        let (mut length, mut shift, mut at) = (0_usize, 0, 0);
        for byte in tail {
            length |= usize::from(byte & 0x7f) << shift;
            (shift, at) = (shift + 7, at + 1);
            if byte & 0x80 == 0 {
                break;
            }
        }
        let value = tail.get(at..at + length)?;
        if *key == number << 3 | 2 {
            return Some(Bytes::copy_from_slice(value));
        }
        rest = &tail[at + length..];
    }
    None
}

/// What `CancelFlightInfo` and `RenewFlightEndpoint` name a ticket by.
pub(super) fn endpoint_of(ticket: &[u8]) -> Vec<u8> {
    field(1, &field(1, ticket))
}

/// The ticket of a planned statement.
pub(super) fn ticket_of(info: &FlightInfo) -> Result<Bytes> {
    let ticket = info.endpoint.first().and_then(|endpoint| endpoint.ticket.as_ref());
    Ok(ticket.context("no ticket")?.ticket.clone())
}

/// A connection to the server, in one session.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    client: FlightServiceClient<Channel>,
    token: Option<String>,
    database: Option<String>,
}

impl Caller {
    /// Connects without credentials.
    pub(super) async fn connect(addr: SocketAddr) -> Result<Self> {
        Self::over(Endpoint::from_shared(format!("http://{addr}"))?).await
    }

    /// A connection on which little fits into a stream before it is read.
    pub(super) async fn connect_narrow(addr: SocketAddr) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{addr}"))?;
        let endpoint = endpoint.initial_stream_window_size(64 << 10);
        Self::over(endpoint.initial_connection_window_size(1 << 20)).await
    }

    async fn over(endpoint: Endpoint) -> Result<Self> {
        let client = FlightServiceClient::new(endpoint.connect().await?);
        Ok(Self { client, token: None, database: None })
    }

    /// Connects and takes a token for a name and a password.
    pub(super) async fn login(addr: SocketAddr, user: &str, password: &str) -> Result<Self> {
        let mut caller = Self::connect(addr).await?;
        let token = caller.handshake(user, password).await?;
        Ok(caller.with_token(&token))
    }

    /// The same connection in the session of a token.
    pub(super) fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    /// The same connection with calls that name a database.
    pub(super) fn with_database(&self, database: &str) -> Self {
        Self { database: Some(database.to_owned()), ..self.clone() }
    }

    /// The token of the session.
    pub(super) fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let header = format!("Bearer {token}").parse().expect("is a header");
            request.metadata_mut().insert("authorization", header);
        }
        if let Some(database) = &self.database {
            let header = database.parse().expect("is a header");
            request.metadata_mut().insert("database", header);
        }
        request
    }

    /// Proves who calls, and returns the token.
    pub(super) async fn handshake(&mut self, user: &str, password: &str) -> Result<String, Status> {
        let payload = [field(2, user.as_bytes()), field(3, password.as_bytes())].concat();
        let message = HandshakeRequest { protocol_version: 0, payload: payload.into() };
        let request = self.request(stream::iter([message]));
        let mut answers = self.client.handshake(request).await?.into_inner();
        let answer = answers.message().await?;
        let token = answer.ok_or_else(|| Status::unknown("no answer"))?.payload;
        String::from_utf8(token.to_vec()).map_err(|error| Status::unknown(error.to_string()))
    }

    /// GetFlightInfo.
    pub(super) async fn info(&mut self, command: Bytes) -> Result<FlightInfo, Status> {
        let request = self.request(FlightDescriptor::new_cmd(command));
        Ok(self.client.get_flight_info(request).await?.into_inner())
    }

    /// GetSchema.
    pub(super) async fn schema(&mut self, command: Bytes) -> Result<Bytes, Status> {
        let request = self.request(FlightDescriptor::new_cmd(command));
        Ok(self.client.get_schema(request).await?.into_inner().schema)
    }

    /// PollFlightInfo.
    pub(super) async fn poll(&mut self, command: Bytes) -> Result<Option<FlightInfo>, Status> {
        let request = self.request(FlightDescriptor::new_cmd(command));
        Ok(self.client.poll_flight_info(request).await?.into_inner().info)
    }

    /// DoGet.
    pub(super) async fn get(&mut self, ticket: Bytes) -> Result<Streaming<FlightData>, Status> {
        let request = self.request(Ticket { ticket });
        Ok(self.client.do_get(request).await?.into_inner())
    }

    /// DoAction.
    pub(super) async fn action(&mut self, name: &str, body: Bytes) -> Result<Vec<Bytes>, Status> {
        let request = self.request(Action { r#type: name.to_owned(), body });
        let results = self.client.do_action(request).await?.into_inner();
        results.map_ok(|result| result.body).try_collect().await
    }

    /// DoPut; the metadata of its first answer.
    pub(super) async fn put(&mut self, messages: Vec<FlightData>) -> Result<Bytes, Status> {
        let request = self.request(stream::iter(messages));
        let mut answers = self.client.do_put(request).await?.into_inner();
        Ok(answers.message().await?.unwrap_or_default().app_metadata)
    }

    /// Plans a text.
    pub(super) async fn plan(&mut self, sql: &str) -> Result<FlightInfo, Status> {
        self.info(any("CommandStatementQuery", &field(1, sql.as_bytes()))).await
    }

    /// Reads a ticket to its end; the number of rows.
    pub(super) async fn read(&mut self, ticket: Bytes) -> Result<usize, Status> {
        n_rows(self.get(ticket).await?).await
    }

    /// Plans and reads a text; the number of rows.
    pub(super) async fn query(&mut self, sql: &str) -> Result<usize, Status> {
        let info = self.plan(sql).await?;
        let ticket = ticket_of(&info).map_err(|error| Status::unknown(error.to_string()))?;
        self.read(ticket).await
    }

    /// Prepares a text; its handle.
    pub(super) async fn prepare(&mut self, sql: &str) -> Result<Bytes, Status> {
        let request = any("ActionCreatePreparedStatementRequest", &field(1, sql.as_bytes()));
        let results = self.action("CreatePreparedStatement", request).await?;
        let result = results.first().and_then(|body| bytes_of(body, 2));
        let handle = result.and_then(|result| bytes_of(&result, 1));
        handle.ok_or_else(|| Status::unknown("no handle"))
    }

    /// Forgets a prepared statement.
    pub(super) async fn close(&mut self, handle: &[u8]) -> Result<Vec<Bytes>, Status> {
        let request = any("ActionClosePreparedStatementRequest", &field(1, handle));
        self.action("ClosePreparedStatement", request).await
    }

    /// Sends parameters: to bind them (`CommandPreparedStatementQuery`), or to run the statement
    /// with them (`CommandPreparedStatementUpdate`).
    pub(super) async fn send_parameters(
        &mut self,
        command: &str,
        handle: &[u8],
        batch: RecordBatch,
    ) -> Result<Bytes, Status> {
        let messages = parameter_messages(command, handle, batch).await;
        self.put(messages.map_err(|error| Status::unknown(error.to_string()))?).await
    }

    /// Sees that the connection answers.
    pub(super) async fn check_alive(&mut self) -> Result<()> {
        let n_rows = self.query("SELECT 'ok' AS is").await.context("the connection is dead")?;
        ensure!(n_rows == 1, "{n_rows} rows");
        Ok(())
    }
}

/// The messages that send a batch of parameters.
pub(super) async fn parameter_messages(
    command: &str,
    handle: &[u8],
    batch: RecordBatch,
) -> Result<Vec<FlightData>> {
    let descriptor = FlightDescriptor::new_cmd(any(command, &field(1, handle)));
    let messages = FlightDataEncoderBuilder::new()
        .with_flight_descriptor(Some(descriptor))
        .with_schema(batch.schema())
        .build(stream::iter([Ok(batch)]));
    Ok(messages.try_collect().await?)
}

/// Counts the rows that are left of a stream.
pub(super) async fn n_rows(rows: Streaming<FlightData>) -> Result<usize, Status> {
    let rows = rows.map_err(FlightError::from).boxed();
    let mut batches = FlightRecordBatchStream::new_from_flight_data(rows);
    let mut n_rows = 0;
    while let Some(batch) = batches.next().await {
        match batch {
            Ok(batch) => n_rows += batch.num_rows(),
            Err(FlightError::Tonic(status)) => return Err(*status),
            Err(other) => return Err(Status::unknown(other.to_string())),
        }
    }
    Ok(n_rows)
}

/// Sees that a call was refused with an SQLSTATE and the right code of gRPC.
pub(super) fn check_refused<T>(
    what: &str,
    answer: Result<T, Status>,
    code: Code,
    sqlstate: &str,
) -> Result<()> {
    let Err(status) = answer else { bail!("{what}: it was answered, not refused") };
    let is_it = status.code() == code && status.message().starts_with(&format!("{sqlstate}: "));
    ensure!(is_it, "{what}: {status:?} instead of {code:?} with {sqlstate}");
    Ok(())
}

/// Sees that a call was answered, or refused in the form of all refusals.
pub(super) fn check_told<T>(what: &str, answer: Result<T, Status>) -> Result<()> {
    let Err(status) = answer else { return Ok(()) };
    let state = status.message().split_once(": ").map(|(state, _)| state).unwrap_or_default();
    let has_state = state.len() == 5 && !state.starts_with("XX");
    let is_known = !matches!(status.code(), Code::Unknown | Code::Internal | Code::Ok);
    ensure!(has_state && is_known, "{what}: {status:?}");
    Ok(())
}
