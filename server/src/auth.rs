//! Roles and how they prove who they are.
//!
//! The catalog keeps verifiers, never passwords: PostgreSQL's
//! `SCRAM-SHA-256$iterations:salt$stored_key:server_key`.

mod throttle;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgwire::api::auth::sasl::scram::{ScramSecret, gen_salted_password};
use rand::Rng;
use tarn_catalog::log::{Entry, RoleDef};
use tarn_catalog::registry::{Change, Expect};
use tarn_catalog::{Catalog, CatalogError};

use crate::config::{AuthMode, ServerConfig};
use crate::error::{Error, Result};
use crate::server::StartError;

pub(crate) use throttle::Throttle;

/// The role that exists from the start.
pub const FIRST_ROLE: &str = "tarn";

const N_ITERATIONS: usize = 4_096;
/// The server repeats them for passwords sent over Flight SQL, so a verifier must not ask for more.
const N_ITERATIONS_MAX: usize = 1_000_000;
/// The length of a key, that of SHA-256.
const N_KEY_BYTES: usize = 32;
const VERIFIER_PREFIX: &str = "SCRAM-SHA-256$";
const N_SALT_BYTES: usize = 16;
const N_PASSWORD_CHARS: usize = 24;
/// The number of the role that is there from the start, as in PostgreSQL.
const FIRST_ROLE_OID: u32 = 10;

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

    /// Reads the text form; `None` for what no password can be compared with.
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(VERIFIER_PREFIX)?;
        let (head, keys) = rest.split_once('$')?;
        let (iterations, salt) = head.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations: usize = iterations.parse().ok()?;
        let salt = STANDARD.decode(salt).ok()?;
        let stored_key = STANDARD.decode(stored).ok()?;
        let server_key = STANDARD.decode(server).ok()?;
        let usable = (1..=N_ITERATIONS_MAX).contains(&iterations)
            && !salt.is_empty()
            && stored_key.len() == N_KEY_BYTES
            && server_key.len() == N_KEY_BYTES;
        usable.then_some(Self { salt, iterations, stored_key, server_key })
    }

    pub(crate) fn to_text(&self) -> String {
        format!(
            "{VERIFIER_PREFIX}{}:{}${}:{}",
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

/// How the roles of the catalog prove who they are.
#[derive(Debug)]
pub struct UserStore {
    mode: AuthMode,
    catalog: Arc<Catalog>,
    /// Stands in for roles without a password, so that a client cannot tell them apart.
    decoy: Verifier,
    generated: Option<String>,
    throttle: Throttle,
}

impl UserStore {
    /// Sees that there is the role `tarn`: at the first start it is made with the password given,
    /// or with a new one.
    ///
    /// # Errors
    /// When the files in the data directory cannot be read or written, and what the catalog says.
    pub async fn open(config: &ServerConfig, catalog: &Arc<Catalog>) -> Result<Self, StartError> {
        let mut store = Self {
            mode: config.auth,
            catalog: Arc::clone(catalog),
            decoy: Verifier::of_password(&random_password()),
            generated: None,
            throttle: Throttle::default(),
        };
        let files = |source| StartError::DataDir { path: config.data_dir.clone(), source };
        let known = catalog.role(FIRST_ROLE);
        let verifier = known.as_ref().and_then(|role| Verifier::parse(role.verifier.as_deref()?));
        let password = match (&config.password, config.auth) {
            (Some(password), _) if verifier.as_ref().is_some_and(|v| v.accepts(password)) => None,
            (Some(password), _) => Some(password.clone()),
            (None, AuthMode::Scram) if verifier.is_none() => {
                let password = random_password();
                let file = config.data_dir.join(PASSWORD_FILE);
                write_private(&file, &format!("{password}\n")).map_err(files)?;
                store.generated = Some(password.clone());
                Some(password)
            }
            (None, _) => None,
        };
        if known.is_none() || password.is_some() {
            let verifier = password.map(|password| Verifier::of_password(&password).to_text());
            let first = RoleDef {
                oid: FIRST_ROLE_OID,
                superuser: true,
                login: true,
                create_role: true,
                create_database: true,
                ..known.clone().unwrap_or_default()
            };
            let role = RoleDef { verifier: verifier.or(first.verifier), ..first };
            let expect = if known.is_some() { Expect::Any } else { Expect::New };
            match store.put(FIRST_ROLE, role, expect).await {
                // Another server has started at the same time: its password is the one.
                Err(CatalogError::ObjectExists { .. }) => store.generated = None,
                done => done?,
            }
        }
        Ok(store)
    }

    async fn put(&self, name: &str, role: RoleDef, expect: Expect) -> Result<(), CatalogError> {
        let entry = Entry::PutRole { name: name.to_owned(), role };
        self.catalog.commit(vec![Change::Define { entry, expect }]).await
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
        self.catalog.role(user).is_some()
    }

    /// Whether sessions may begin as a role.
    #[must_use]
    pub fn may_log_in(&self, user: &str) -> bool {
        self.catalog.role(user).is_some_and(|role| role.login)
    }

    /// A role's number.
    #[must_use]
    pub fn oid(&self, user: &str) -> Option<u32> {
        self.catalog.role(user).map(|role| role.oid)
    }

    /// Whether clients are believed without a password; the configuration sees to it that only
    /// loopback addresses are open then, or that `--insecure` was given.
    #[must_use]
    pub fn trusts(&self) -> bool {
        self.mode == AuthMode::Trust
    }

    /// What the SCRAM exchange checks a client against; a decoy for roles that do not exist, have
    /// no password, or one whose time is over.
    ///
    /// A decoy has a salt of its own for each name, the same whenever and wherever it is asked for:
    /// on every server of the catalog.
    #[must_use]
    pub(crate) fn verifier(&self, user: &str) -> Verifier {
        let verifier = |role: RoleDef| Verifier::parse(role.verifier.as_deref()?);
        let known = self.catalog.role(user).filter(|role| !is_expired(role));
        if let Some(verifier) = known.and_then(verifier) {
            return verifier;
        }
        let mut decoy = self.decoy.clone();
        if let Some(first) = self.catalog.role(FIRST_ROLE).and_then(verifier) {
            let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &first.stored_key);
            decoy.stored_key = ring::hmac::sign(&key, b"decoy").as_ref().to_vec();
            decoy.iterations = first.iterations;
        }
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &decoy.stored_key);
        let mut salt = ring::hmac::sign(&key, user.as_bytes()).as_ref().to_vec();
        salt.truncate(N_SALT_BYTES);
        Verifier { salt, ..decoy }
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

/// What is kept of a password: a verifier of it, or itself where it is one already.
///
/// # Errors
/// 0A000 for an MD5 hash, which cannot prove anything here; 22023 for a verifier that is malformed or
/// asks for too many iterations.
pub(crate) fn verifier_of(role: &str, password: &str) -> Result<String> {
    if let Some(verifier) = Verifier::parse(password) {
        return Ok(verifier.to_text());
    }
    if password.starts_with(VERIFIER_PREFIX) {
        return Err(Error::Refused {
            code: "22023",
            message: format!("the verifier of role \"{role}\" cannot be used"),
            detail: Some(format!(
                "A verifier has a salt, two keys of {N_KEY_BYTES} bytes and 1 to {N_ITERATIONS_MAX} \
                 iterations."
            )),
            hint: Some("Give the password itself.".to_owned()),
        });
    }
    let md5 = password
        .strip_prefix("md5")
        .is_some_and(|hash| hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if md5 {
        return Err(Error::Refused {
            code: "0A000",
            message: format!("the password of role \"{role}\" is an MD5 hash"),
            detail: Some("Clients prove passwords by SCRAM-SHA-256 only.".to_owned()),
            hint: Some("Give the password itself, or a SCRAM-SHA-256 verifier.".to_owned()),
        });
    }
    Ok(Verifier::of_password(password).to_text())
}

/// Whether the time is over that a password was to be good for.
fn is_expired(role: &RoleDef) -> bool {
    let until = role.valid_until.as_deref().and_then(crate::lookup::parse_instant);
    until.is_some_and(|until| until < chrono::Utc::now())
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

    #[test]
    fn verifiers_do_not_ask_for_endless_work() {
        let text = Verifier::of_password("secret").to_text();
        let with = |iterations: &str| text.replacen("$4096:", &format!("${iterations}:"), 1);
        assert!(Verifier::parse(&with("10000")).is_some());
        for iterations in ["0", "-1", "1000001", "99999999999999999999"] {
            assert!(Verifier::parse(&with(iterations)).is_none(), "{iterations}");
        }
        assert!(Verifier::parse("SCRAM-SHA-256$4096:c2FsdA==$AAAA:AAAA").is_none());
    }
}
