//! Slows down who guesses: after a few failures an address gets one attempt a second.
//!
//! An attempt is a login, or a cancel request, whose key can be guessed as well. Addresses without
//! failures never wait, so a burst of connections costs nothing.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::error::{Error, Result};

/// Failures of an address that are forgiven; one more is forgotten each second.
const N_FREE_FAILURES: u32 = 10;

/// The most that is remembered, so that an address is as good as new after a minute.
const N_FAILURES_MAX: u32 = 60;

/// The time between two attempts of an address that has failed too often.
const INTERVAL: Duration = Duration::from_secs(1);

/// The longest wait; attempts that would have to wait longer are refused.
const WAIT_MAX: Duration = Duration::from_secs(10);

/// Addresses that are remembered.
const N_ADDRESSES_MAX: usize = 10_000;

/// Failures by address.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    addresses: Mutex<HashMap<IpAddr, Record>>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    n_failures: u32,
    /// When `n_failures` was right.
    at: Instant,
    /// The last attempt that was given a time.
    last_slot: Instant,
}

impl Record {
    /// Failures that are not forgotten yet.
    fn n_now(&self, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.at).as_secs();
        self.n_failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

impl Throttle {
    /// Waits until an attempt from this address may go on.
    ///
    /// # Errors
    /// `NotAuthorized` where the wait would be too long.
    pub(crate) async fn admit(&self, address: IpAddr) -> Result<()> {
        match self.wait(address, Instant::now()) {
            Some(wait) if wait.is_zero() => Ok(()),
            Some(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            None => {
                metrics::counter!("tarn_logins_refused_total").increment(1);
                let message = "too many failed logins from this address, try again later";
                Err(Error::NotAuthorized { message: message.to_owned() })
            }
        }
    }

    fn wait(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let mut addresses = self.addresses.lock();
        let Some(record) = addresses.get_mut(&network(address)) else {
            return Some(Duration::ZERO);
        };
        match record.n_now(now) {
            0 => {
                addresses.remove(&network(address));
                Some(Duration::ZERO)
            }
            n if n < N_FREE_FAILURES => Some(Duration::ZERO),
            _ => {
                let slot = now.max(record.last_slot + INTERVAL);
                let wait = slot.saturating_duration_since(now);
                if wait > WAIT_MAX {
                    return None;
                }
                record.last_slot = slot;
                Some(wait)
            }
        }
    }

    /// Notes that an attempt has failed.
    pub(crate) fn failed(&self, address: IpAddr) {
        self.note(address, Instant::now());
    }

    fn note(&self, address: IpAddr, now: Instant) {
        let mut addresses = self.addresses.lock();
        if addresses.len() >= N_ADDRESSES_MAX {
            addresses.retain(|_, record| record.n_now(now) >= N_FREE_FAILURES);
            if addresses.len() >= N_ADDRESSES_MAX {
                return;
            }
        }
        let fresh = Record { n_failures: 0, at: now, last_slot: now };
        let record = addresses.entry(network(address)).or_insert(fresh);
        let n_failures = record.n_now(now).saturating_add(1).min(N_FAILURES_MAX);
        *record = Record { n_failures, at: now, ..*record };
    }
}

/// What stands for all addresses of one machine: an IPv6 host has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{N_FREE_FAILURES, Throttle};

    #[test]
    fn guessing_gets_slow_and_is_forgotten() {
        let throttle = Throttle::default();
        let guesser = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let other = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
        let start = Instant::now();
        let seconds = |n| Some(Duration::from_secs(n));
        for _ in 0..N_FREE_FAILURES {
            assert_eq!(throttle.wait(guesser, start), seconds(0));
            throttle.note(guesser, start);
        }
        // Parallel attempts get a second each, those after ten seconds nothing.
        for n in 1..=10 {
            assert_eq!(throttle.wait(guesser, start), seconds(n));
        }
        assert_eq!(throttle.wait(guesser, start), None);
        assert_eq!(throttle.wait(other, start), seconds(0));
        let later = start + Duration::from_secs(60);
        assert_eq!(throttle.wait(guesser, later), seconds(0));
        assert!(throttle.addresses.lock().is_empty());
    }

    #[test]
    fn addresses_of_one_network_count_together() {
        let throttle = Throttle::default();
        let now = Instant::now();
        for n in 0..N_FREE_FAILURES {
            let address = format!("2001:db8::{n:x}").parse().expect("is an address");
            throttle.note(address, now);
        }
        let address = "2001:db8::ffff".parse().expect("is an address");
        assert!(throttle.wait(address, now).is_some_and(|wait| !wait.is_zero()));
    }
}
