//! Codes and hints of trouble with object stores and disks.

use tarn_catalog::object_store::StoreFault;

/// The SQLSTATE of a store's fault.
pub(super) fn code(fault: StoreFault) -> &'static str {
    match fault {
        StoreFault::MissingBucket => "58P01",
        StoreFault::BadCredentials => "28000",
        StoreFault::Denied => "42501",
        StoreFault::Full => "53100",
        StoreFault::ReadOnly => "25006",
        StoreFault::OutcomeUnknown => "40003",
        StoreFault::MissingObject
        | StoreFault::TimedOut
        | StoreFault::Unreachable
        | StoreFault::Other => "58030",
    }
}

/// What to do about it.
pub(super) fn hint(fault: StoreFault) -> &'static str {
    match fault {
        StoreFault::MissingBucket => "Check its name and its region; tarn does not create buckets.",
        StoreFault::BadCredentials => {
            "Give them with CREATE STORAGE or in the server's environment; where they have \
             expired, give new ones with ALTER STORAGE: the next statement uses them."
        }
        StoreFault::Denied => {
            "Its owner has to allow this to the credentials in use; if they have expired, give new \
             ones with ALTER STORAGE."
        }
        StoreFault::TimedOut => "Try again, or raise --store-timeout and --store-retries-max.",
        StoreFault::Unreachable => "Check the endpoint and the network.",
        StoreFault::Full => "Free some space, or raise the quota.",
        StoreFault::ReadOnly => {
            "Tables there can be read. Commits need a store that refuses to replace an object \
             when asked to."
        }
        StoreFault::OutcomeUnknown => "Look at the table before you run the statement again.",
        StoreFault::MissingObject | StoreFault::Other => {
            "Check that the storage can be reached and its credentials are valid."
        }
    }
}
