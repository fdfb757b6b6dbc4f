//! Secrets of storage credentials: AES-256-GCM under a key that never enters the log.
//!
//! The key is 32 bytes, from `TARN_SECRET_KEY` or from the file `secret-key` in the data directory,
//! which only its owner can read. Servers that share a catalog need the same key.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::{CatalogError, Result};

/// The name of the key's file in the data directory.
pub const KEY_FILE: &str = "secret-key";

const KEY_BYTES: usize = 32;

/// Secrets as they are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sealed {
    /// Tells which key it was: the first bytes of the key's SHA-256.
    pub key_id: String,
    /// Nonce and ciphertext in base64.
    pub text: String,
}

/// The key of one catalog.
pub struct SecretKey {
    key: LessSafeKey,
    id: String,
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl SecretKey {
    /// Takes 32 bytes as 64 hexadecimal digits or in base64.
    ///
    /// # Errors
    /// `SecretKey` for anything else.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let bytes = if text.len() == 2 * KEY_BYTES { from_hex(text) } else { None };
        match bytes.or_else(|| STANDARD.decode(text).ok()) {
            Some(bytes) if bytes.len() == KEY_BYTES => Self::of(&bytes),
            _ => Err(unusable("the key is not 32 bytes as 64 hexadecimal digits or in base64")),
        }
    }

    /// Reads the key's file; makes it with a new key where there is none.
    ///
    /// # Errors
    /// `SecretKey` when it cannot be read, written or used, or others than its owner can read it.
    pub fn open(data_dir: &Path) -> Result<Self> {
        let path = data_dir.join(KEY_FILE);
        let failed = |error: std::io::Error| unusable(&format!("{}: {error}", path.display()));
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                check_mode(&path)?;
                Self::parse(&text)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut bytes = [0_u8; KEY_BYTES];
                fill(&mut bytes)?;
                let mut options = std::fs::OpenOptions::new();
                options.write(true).create_new(true);
                #[cfg(unix)]
                {
                    use std::os::unix::fs::OpenOptionsExt;
                    options.mode(0o600);
                }
                let mut file = options.open(&path).map_err(failed)?;
                writeln!(file, "{}", STANDARD.encode(bytes)).map_err(failed)?;
                file.sync_all().map_err(failed)?;
                Self::of(&bytes)
            }
            Err(error) => Err(failed(error)),
        }
    }

    fn of(bytes: &[u8]) -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, bytes).map_err(|_| unusable("the key"))?;
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        let id = digest.as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { key: LessSafeKey::new(key), id })
    }

    /// Encrypts the secrets of an object, to whose name they are bound.
    ///
    /// # Errors
    /// `SecretKey` when the system has no random numbers.
    pub fn seal(&self, name: &str, secrets: &BTreeMap<String, String>) -> Result<Sealed> {
        let internal = |what: &str| CatalogError::Internal { what: what.to_owned() };
        let mut text = serde_json::to_vec(secrets).map_err(|_| internal("secrets as JSON"))?;
        let mut nonce = [0_u8; NONCE_LEN];
        fill(&mut nonce)?;
        let sealing = Nonce::assume_unique_for_key(nonce);
        self.key
            .seal_in_place_append_tag(sealing, Aad::from(name.as_bytes()), &mut text)
            .map_err(|_| internal("encrypting secrets"))?;
        let all = [&nonce[..], &text].concat();
        Ok(Sealed { key_id: self.id.clone(), text: STANDARD.encode(all) })
    }

    /// Decrypts them.
    ///
    /// # Errors
    /// `SecretKey` where they were encrypted with another key, for another name, or changed since.
    pub fn open_sealed(&self, name: &str, sealed: &Sealed) -> Result<BTreeMap<String, String>> {
        if sealed.key_id != self.id {
            return Err(unusable(&format!(
                "the secrets of storage \"{name}\" were encrypted with key {}, this server has {}",
                sealed.key_id, self.id
            )));
        }
        let damaged = || unusable(&format!("the secrets of storage \"{name}\" are damaged"));
        let mut all = STANDARD.decode(&sealed.text).map_err(|_| damaged())?;
        let (nonce, text) = all.split_at_mut_checked(NONCE_LEN).ok_or_else(damaged)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged())?;
        let aad = Aad::from(name.as_bytes());
        let plain = self.key.open_in_place(nonce, aad, text).map_err(|_| damaged())?;
        serde_json::from_slice(plain).map_err(|_| damaged())
    }
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    SystemRandom::new().fill(bytes).map_err(|_| unusable("the system has no random numbers"))
}

fn unusable(what: &str) -> CatalogError {
    CatalogError::SecretKey { what: what.to_owned() }
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(path).map(|metadata| metadata.permissions().mode());
    match mode {
        Ok(mode) if mode & 0o077 == 0 => Ok(()),
        _ => Err(unusable(&format!("{} can be read by others: chmod 600 it", path.display()))),
    }
}

#[cfg(not(unix))]
fn check_mode(_path: &Path) -> Result<()> {
    Ok(())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    digits?
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => u8::try_from(high * 16 + low).ok(),
            _ => None,
        })
        .collect()
}
