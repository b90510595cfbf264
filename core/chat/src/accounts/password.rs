//! Passwords: Argon2id with the library's defaults (19 MiB, 2 passes, about 20 ms), a bounded number at a time, off the
//! async threads.

use crate::ChatError;
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier, password_hash::SaltString};
use std::time::Duration;
use tokio::sync::Semaphore;

const LIMIT_CHARS: usize = 64;
/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug)]
pub(crate) struct Passwords {
    turns: Semaphore,
}

impl Passwords {
    pub(crate) fn new(workers: usize) -> Self {
        Self { turns: Semaphore::new(workers.max(1)) }
    }

    pub(crate) async fn hash(&self, password: &str) -> Result<String, ChatError> {
        if !(1..=LIMIT_CHARS).contains(&password.chars().count()) {
            return Err(ChatError::PasswordLength);
        }
        let password = password.to_owned();
        let salt: [u8; 16] = rand::random();
        let hashed = self.work(move || {
            let salt = SaltString::encode_b64(&salt).ok()?;
            let hash = Argon2::default().hash_password(password.as_bytes(), &salt).ok()?;
            Some(hash.to_string())
        });
        hashed.await?.ok_or(ChatError::PasswordLength)
    }

    /// Whether the password fits. A user without one has no fitting password.
    pub(crate) async fn verify(&self, hash: Option<&str>, password: &str) -> Result<bool, ChatError> {
        let (Some(hash), true) = (hash, password.chars().count() <= LIMIT_CHARS) else { return Ok(false) };
        let (hash, password) = (hash.to_owned(), password.to_owned());
        self.work(move || {
            let Ok(hash) = PasswordHash::new(&hash) else { return false };
            Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ChatError> {
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| ChatError::Busy)?.map_err(|_| ChatError::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| ChatError::Busy)
    }
}
