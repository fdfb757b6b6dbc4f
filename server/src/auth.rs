//! Roles and how they prove who they are.
//!
//! The server keeps verifiers, never passwords: PostgreSQL's
//! `SCRAM-SHA-256$iterations:salt$stored_key:server_key` in `users` in the data directory.

mod throttle;

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgwire::api::auth::sasl::scram::{ScramSecret, gen_salted_password};
use rand::Rng;
use tarn_catalog::RoleEntry;

use crate::config::{AuthMode, ServerConfig};
use crate::error::{Error, Result};

pub(crate) use throttle::Throttle;

/// The role that exists from the start.
pub const FIRST_ROLE: &str = "tarn";

const N_ITERATIONS: usize = 4_096;
const N_SALT_BYTES: usize = 16;
const N_PASSWORD_CHARS: usize = 24;
const USERS_FILE: &str = "users";

/// The file that a generated password is left in.
pub const PASSWORD_FILE: &str = "initial-password";

/// What proves that a client knows a role's password.
#[derive(Clone)]
pub struct Verifier {
    salt: Vec<u8>,
    iterations: usize,
    stored_key: Vec<u8>,
    server_key: Vec<u8>,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Verifier {
    fn of_password(password: &str) -> Self {
        let mut salt = vec![0_u8; N_SALT_BYTES];
        rand::rng().fill(salt.as_mut_slice());
        let salted = gen_salted_password(password, &salt, N_ITERATIONS);
        Self::of_salted(salt, salted, N_ITERATIONS)
    }

    fn of_salted(salt: Vec<u8>, salted: Vec<u8>, iterations: usize) -> Self {
        match ScramSecret::verifier_from_salted_password(salt, salted, iterations) {
            ScramSecret::Verifier { salt, iterations, stored_key, server_key } => {
                Self { salt, iterations, stored_key, server_key }
            }
            ScramSecret::SaltedPassword { salt, salted_password } => {
                Self { salt, iterations, stored_key: salted_password, server_key: vec![] }
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("SCRAM-SHA-256$")?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Some(Self {
            salt: STANDARD.decode(salt).ok()?,
            iterations: iterations.parse().ok()?,
            stored_key: STANDARD.decode(stored).ok()?,
            server_key: STANDARD.decode(server).ok()?,
        })
    }

    fn to_text(&self) -> String {
        format!(
            "SCRAM-SHA-256${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(&self.stored_key),
            STANDARD.encode(&self.server_key),
        )
    }

    /// The form that the SCRAM exchange takes.
    #[must_use]
    pub(crate) fn secret(&self) -> ScramSecret {
        ScramSecret::Verifier {
            salt: self.salt.clone(),
            iterations: self.iterations,
            stored_key: self.stored_key.clone(),
            server_key: self.server_key.clone(),
        }
    }

    fn accepts(&self, password: &str) -> bool {
        let salted = gen_salted_password(password, &self.salt, self.iterations);
        let other = Self::of_salted(self.salt.clone(), salted, self.iterations);
        // Equal time for all inputs of equal length.
        let differing =
            self.stored_key.iter().zip(&other.stored_key).fold(0, |d, (a, b)| d | (a ^ b));
        differing == 0 && self.stored_key.len() == other.stored_key.len()
    }
}

/// The roles of one server.
#[derive(Debug)]
pub struct UserStore {
    mode: AuthMode,
    verifiers: BTreeMap<String, Option<Verifier>>,
    /// Stands in for roles that do not exist, so that a client cannot tell them apart.
    decoy: Verifier,
    generated: Option<String>,
    throttle: Throttle,
}

impl UserStore {
    /// Reads the roles; at the first start makes role `tarn` with the password given, or with a
    /// new one.
    ///
    /// # Errors
    /// When the files in the data directory cannot be read or written.
    pub fn open(config: &ServerConfig) -> std::io::Result<Self> {
        let mut store = Self {
            mode: config.auth,
            verifiers: BTreeMap::from([(FIRST_ROLE.to_owned(), None)]),
            decoy: Verifier::of_password(&random_password()),
            generated: None,
            throttle: Throttle::default(),
        };
        if config.auth == AuthMode::Trust {
            return Ok(store);
        }
        let path = config.data_dir.join(USERS_FILE);
        if path.exists() {
            let text = std::fs::read_to_string(&path)?;
            for line in text.lines() {
                if let Some((name, verifier)) = line.split_once(' ') {
                    store.verifiers.insert(name.to_owned(), Verifier::parse(verifier));
                }
            }
        }
        let has_password = store.verifiers.get(FIRST_ROLE).is_some_and(Option::is_some);
        let password = match (&config.password, has_password) {
            (Some(password), _) => password.clone(),
            (None, true) => {
                store.disguise();
                return Ok(store);
            }
            (None, false) => {
                let password = random_password();
                let file = config.data_dir.join(PASSWORD_FILE);
                write_private(&file, &format!("{password}\n"))?;
                store.generated = Some(password.clone());
                password
            }
        };
        let verifier = Verifier::of_password(&password);
        store.verifiers.insert(FIRST_ROLE.to_owned(), Some(verifier));
        let lines = store.verifiers.iter().filter_map(|(name, verifier)| {
            verifier.as_ref().map(|verifier| format!("{name} {}\n", verifier.to_text()))
        });
        write_private(&path, &lines.collect::<String>())?;
        store.disguise();
        Ok(store)
    }

    /// Makes the decoy look like a stored verifier, also after a restart.
    fn disguise(&mut self) {
        if let Some(Some(first)) = self.verifiers.get(FIRST_ROLE) {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &first.stored_key);
            let decoy = ring::hmac::sign(&key, b"decoy").as_ref().to_vec();
            self.decoy.stored_key = decoy;
            self.decoy.iterations = first.iterations;
        }
    }

    /// What slows down guessing of passwords and keys.
    pub(crate) fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// The password made at the first start, to be shown once.
    #[must_use]
    pub fn generated_password(&self) -> Option<&str> {
        self.generated.as_deref()
    }

    /// Whether a role exists.
    #[must_use]
    pub fn exists(&self, user: &str) -> bool {
        self.verifiers.contains_key(user)
    }

    /// A role's number.
    #[must_use]
    pub fn oid(&self, user: &str) -> Option<u32> {
        let index = self.verifiers.keys().position(|name| name == user)?;
        u32::try_from(index).ok().map(|index| 10 + index)
    }

    /// The roles for the catalog.
    #[must_use]
    pub fn entries(&self) -> Vec<RoleEntry> {
        let entry = |name: &String| RoleEntry {
            oid: self.oid(name).unwrap_or(10),
            name: name.clone(),
            superuser: true,
        };
        self.verifiers.keys().map(entry).collect()
    }

    /// Whether clients are believed without a password; the configuration sees to it that only
    /// loopback addresses are open then, or that `--insecure` was given.
    #[must_use]
    pub fn trusts(&self) -> bool {
        self.mode == AuthMode::Trust
    }

    /// What the SCRAM exchange checks a client against; a decoy for roles that do not exist.
    ///
    /// A decoy has a salt of its own for each name, the same whenever it is asked for.
    #[must_use]
    pub(crate) fn verifier(&self, user: &str) -> Verifier {
        if let Some(Some(verifier)) = self.verifiers.get(user) {
            return verifier.clone();
        }
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.decoy.stored_key);
        let mut salt = ring::hmac::sign(&key, user.as_bytes()).as_ref().to_vec();
        salt.truncate(N_SALT_BYTES);
        Verifier { salt, ..self.decoy.clone() }
    }

    /// Checks a password sent in the clear over TLS or loopback.
    ///
    /// # Errors
    /// `InvalidPassword`, also for roles that do not exist, after the same work.
    pub fn verify_password(&self, user: &str, password: &str) -> Result<()> {
        let accepted = self.verifier(user).accepts(password);
        if accepted && self.exists(user) {
            Ok(())
        } else {
            Err(Error::InvalidPassword { user: user.to_owned() })
        }
    }
}

fn random_password() -> String {
    let mut rng = rand::rng();
    (0..N_PASSWORD_CHARS).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect()
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::Verifier;

    #[test]
    fn verifiers_survive_their_text_form() {
        let verifier = Verifier::of_password("secret");
        let read = Verifier::parse(&verifier.to_text()).expect("is its own form");
        assert!(read.accepts("secret"));
        assert!(!read.accepts("Secret"));
        assert!(Verifier::parse("md5abc").is_none());
    }
}
