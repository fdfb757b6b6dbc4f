//! What a store's error means to the user.

use std::error::Error;
use std::io::ErrorKind;

use ::object_store::Error as StoreError;
use ::object_store::client::{HttpError, HttpErrorKind};

use super::guard::{ConditionalPutIgnored, OutcomeUnknown};

/// The kinds of trouble with a store that ask for different action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreFault {
    /// The bucket, container or server root does not exist.
    MissingBucket,
    /// An object or file does not exist.
    MissingObject,
    /// No credentials, wrong ones, or ones that have expired.
    BadCredentials,
    /// The credentials are good and do not allow it.
    Denied,
    /// No answer in time, after all retries.
    TimedOut,
    /// No connection, after all retries.
    Unreachable,
    /// No space left, or a quota is used up.
    Full,
    /// The store cannot do what a commit needs, so it can only be read.
    ReadOnly,
    /// A conditional put was sent and its outcome could not be found out.
    OutcomeUnknown,
    /// Anything else.
    Other,
}

/// Words of the stores' answers, and what they mean.
const ANSWERS: [(&str, StoreFault); 24] = [
    ("NoSuchBucket", StoreFault::MissingBucket),
    ("ContainerNotFound", StoreFault::MissingBucket),
    ("specified bucket does not exist", StoreFault::MissingBucket),
    ("ExpiredToken", StoreFault::BadCredentials),
    ("TokenRefreshRequired", StoreFault::BadCredentials),
    ("InvalidToken", StoreFault::BadCredentials),
    ("InvalidAccessKeyId", StoreFault::BadCredentials),
    ("SignatureDoesNotMatch", StoreFault::BadCredentials),
    ("AuthenticationFailed", StoreFault::BadCredentials),
    ("InvalidAuthenticationInfo", StoreFault::BadCredentials),
    ("Server failed to authenticate", StoreFault::BadCredentials),
    ("AuthenticationRequired", StoreFault::BadCredentials),
    ("RequestTimeTooSkewed", StoreFault::BadCredentials),
    ("invalid_grant", StoreFault::BadCredentials),
    ("latest/api/token", StoreFault::BadCredentials),
    ("metadata/identity", StoreFault::BadCredentials),
    ("computeMetadata", StoreFault::BadCredentials),
    ("AccessDenied", StoreFault::Denied),
    ("AuthorizationPermissionMismatch", StoreFault::Denied),
    ("QuotaExceeded", StoreFault::Full),
    ("507 Insufficient Storage", StoreFault::Full),
    ("No space left on device", StoreFault::Full),
    ("status code: 401", StoreFault::BadCredentials),
    ("status code: 403", StoreFault::Denied),
];

impl StoreFault {
    /// Finds the meaning of an error and its causes.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        let chain = || {
            std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| {
                Error::source(*error)
            })
        };
        // What the store itself says is more certain than the class of the error.
        if let Some(fault) = chain().find_map(|error| Self::of_text(&error.to_string())) {
            return fault;
        }
        let mut found = Self::Other;
        for fault in chain().map(Self::of_one) {
            match fault {
                Self::Other => {}
                // A more certain meaning may follow further down.
                Self::Denied | Self::MissingObject | Self::BadCredentials => found = fault,
                certain => return certain,
            }
        }
        found
    }

    /// The start of a message about it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::MissingBucket => "the bucket does not exist",
            Self::MissingObject | Self::Other => "could not read from storage",
            Self::BadCredentials => "storage refused the credentials",
            Self::Denied => "storage denied permission",
            Self::TimedOut => "storage did not answer in time",
            Self::Unreachable => "could not connect to storage",
            Self::Full => "no space left in storage",
            Self::ReadOnly => "storage cannot be written",
            Self::OutcomeUnknown => "the outcome of a write to storage is not known",
        }
    }

    fn of_one(error: &(dyn Error + 'static)) -> Self {
        if error.is::<ConditionalPutIgnored>() {
            return Self::ReadOnly;
        }
        if error.is::<OutcomeUnknown>() {
            return Self::OutcomeUnknown;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return match error.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::Full,
                ErrorKind::NotFound => Self::MissingObject,
                ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Self::Denied,
                ErrorKind::TimedOut => Self::TimedOut,
                _ => Self::Other,
            };
        }
        if let Some(error) = error.downcast_ref::<HttpError>() {
            return match error.kind() {
                HttpErrorKind::Timeout => Self::TimedOut,
                HttpErrorKind::Connect | HttpErrorKind::Request | HttpErrorKind::Interrupted => {
                    Self::Unreachable
                }
                _ => Self::Other,
            };
        }
        match error.downcast_ref::<StoreError>() {
            Some(StoreError::NotFound { .. }) => Self::MissingObject,
            Some(StoreError::PermissionDenied { .. }) => Self::Denied,
            Some(StoreError::Unauthenticated { .. }) => Self::BadCredentials,
            Some(StoreError::NotImplemented { .. }) => Self::ReadOnly,
            _ => Self::Other,
        }
    }

    fn of_text(text: &str) -> Option<Self> {
        ANSWERS.iter().find(|(words, _)| text.contains(words)).map(|(_, fault)| *fault)
    }
}
