//! TLS at the edge. The certificate can be replaced while the gateway runs: its files are looked at again and again,
//! and what is new and fits together serves the handshakes from then on. What does not is reported, and changes
//! nothing.

use crate::config::TlsFiles;
use rustls::{
    HandshakeKind, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use std::{fmt, io, path::Path, sync::Arc, time::Duration};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    net::TcpStream,
    sync::{Semaphore, watch},
    time::{Instant, MissedTickBehavior, interval, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
/// Far more than any chain of certificates has.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Makes TLS streams of TCP streams.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    handshakes: Arc<Semaphore>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CertificateError {
    #[error("cannot read {0}: {1}")]
    Unreadable(String, io::Error),
    #[error("{0} is no PEM file: {1}")]
    NotPem(String, rustls::pki_types::pem::Error),
    #[error("{0} has no certificate")]
    Empty(String),
    #[error("the certificate and the key cannot be used: {0}")]
    Unusable(rustls::Error),
}

/// Loads the certificate. The second part looks after it.
pub(crate) async fn load(files: TlsFiles, handshakes: usize) -> Result<(Tls, Reload), CertificateError> {
    let provider = Arc::new(ring::default_provider());
    let pem = Pem::read(&files).await?;
    let (current, served) = watch::channel(Arc::new(pem.certified_key(&files, &provider)?));
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(CertificateError::Unusable)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Served(served)));
    config.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
    // A client that comes back needs no certificate, which is most of a handshake.
    config.ticketer = ring::Ticketer::new().map_err(CertificateError::Unusable)?;
    let tls = Tls {
        acceptor: TlsAcceptor::from(Arc::new(config)),
        handshakes: Arc::new(Semaphore::new(handshakes.clamp(1, Semaphore::MAX_PERMITS))),
    };
    Ok((tls, Reload { files, provider, seen: Ok(pem), current }))
}

impl Tls {
    /// Shakes hands; `None` when that fails or takes too long, which is the client's loss alone.
    ///
    /// `stream` is given by a function because the TCP stream is waited for first: a client that says nothing must
    /// not keep others from their handshakes.
    pub(crate) async fn accept<S>(
        &self,
        tcp: TcpStream,
        wrap: impl FnOnce(TcpStream) -> S,
        deadline: Instant,
    ) -> Option<TlsStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let handshake = async {
            tcp.readable().await?;
            let _place = self.handshakes.acquire().await.map_err(io::Error::other)?;
            self.acceptor.accept(wrap(tcp)).await
        };
        let (result, stream) = match timeout_at(deadline, handshake).await {
            Ok(Ok(stream)) => match stream.get_ref().1.handshake_kind() {
                Some(HandshakeKind::Resumed) => ("resumed", Some(stream)),
                _ => ("full", Some(stream)),
            },
            Ok(Err(error)) => {
                tracing::debug!(%error, "handshake failed");
                ("failed", None)
            }
            Err(_) => ("timeout", None),
        };
        metrics::counter!("gateway_tls_handshakes_total", "result" => result).increment(1);
        stream
    }
}

/// Whether the client chose HTTP/2.
pub(crate) fn speaks_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(HTTP2)
}

/// The certificate of the moment.
struct Served(watch::Receiver<Arc<CertifiedKey>>);

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Served").finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Served {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.borrow().clone())
    }
}

/// What the two files hold. Never shown: one is a secret.
#[derive(PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    async fn read(files: &TlsFiles) -> Result<Self, CertificateError> {
        Ok(Self { certificate: read(&files.certificate).await?, key: read(&files.key).await? })
    }

    fn certified_key(
        &self,
        files: &TlsFiles,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, CertificateError> {
        let not_pem = |path: &Path| {
            let path = path.display().to_string();
            move |error| CertificateError::NotPem(path, error)
        };
        let chain = CertificateDer::pem_slice_iter(&self.certificate)
            .collect::<Result<Vec<_>, _>>()
            .map_err(not_pem(&files.certificate))?;
        if chain.is_empty() {
            return Err(CertificateError::Empty(files.certificate.display().to_string()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(not_pem(&files.key))?;
        // Also checks that they belong together.
        CertifiedKey::from_der(chain, key, provider).map_err(CertificateError::Unusable)
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let unreadable = |error| CertificateError::Unreadable(path.display().to_string(), error);
    let mut bytes = Vec::new();
    let file = File::open(path).await.map_err(unreadable)?;
    file.take(MAX_FILE_BYTES).read_to_end(&mut bytes).await.map_err(unreadable)?;
    Ok(bytes)
}

/// Looks after the certificate.
pub(crate) struct Reload {
    files: TlsFiles,
    provider: Arc<CryptoProvider>,
    /// What was seen last, or the text of what stood in the way: each is judged and reported once.
    seen: Result<Pem, String>,
    current: watch::Sender<Arc<CertifiedKey>>,
}

impl fmt::Debug for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reload").field("files", &self.files).finish_non_exhaustive()
    }
}

/// What a look at the files found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Same,
    Replaced,
    Unusable,
}

impl Reload {
    /// Looks at the files for as long as it is polled.
    pub(crate) async fn run(mut self, every: Duration) {
        let mut ticks = interval(every.max(Duration::from_millis(1)));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.look().await;
        }
    }

    /// Reads the files whole, which are small: their times do not tell every change.
    async fn look(&mut self) -> Look {
        let read = Pem::read(&self.files).await;
        let outcome = match read {
            Ok(pem) if self.seen.as_ref().is_ok_and(|seen| *seen == pem) => return Look::Same,
            Ok(pem) => {
                let outcome = pem.certified_key(&self.files, &self.provider);
                self.seen = Ok(pem);
                outcome
            }
            Err(error) => {
                let text = error.to_string();
                if self.seen.as_ref().is_err_and(|seen| *seen == text) {
                    return Look::Same;
                }
                self.seen = Err(text);
                Err(error)
            }
        };
        let (look, result) = match outcome {
            Ok(key) => {
                self.current.send_replace(Arc::new(key));
                tracing::info!("the certificate was replaced");
                (Look::Replaced, "replaced")
            }
            Err(error) => {
                // Also between the writes of the two files, which must not hurt anybody.
                tracing::warn!(%error, "the new certificate is not used, the one before stays");
                (Look::Unusable, "unusable")
            }
        };
        metrics::counter!("gateway_tls_reloads_total", "result" => result).increment(1);
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertifiedKey as Made, KeyPair, generate_simple_self_signed};
    use std::fs;
    use tempfile::TempDir;

    fn make() -> Made<KeyPair> {
        generate_simple_self_signed(["localhost".to_owned()]).unwrap()
    }

    fn files(folder: &TempDir) -> TlsFiles {
        TlsFiles { certificate: folder.path().join("chain.pem"), key: folder.path().join("key.pem") }
    }

    fn write(files: &TlsFiles, certificate: &Made<KeyPair>, key: &Made<KeyPair>) {
        fs::write(&files.certificate, certificate.cert.pem()).unwrap();
        fs::write(&files.key, key.signing_key.serialize_pem()).unwrap();
    }

    fn serves(reload: &Reload, made: &Made<KeyPair>) -> bool {
        reload.current.borrow().cert[0] == *made.cert.der()
    }

    #[tokio::test]
    async fn a_good_pair_replaces_and_anything_else_changes_nothing() {
        let folder = TempDir::new().unwrap();
        let (files, old, new) = (files(&folder), make(), make());
        write(&files, &old, &old);
        let (_tls, mut reload) = load(files.clone(), 1).await.unwrap();
        assert_eq!(reload.look().await, Look::Same);

        // Half of it: each bad state is reported once.
        write(&files, &new, &old);
        assert_eq!(reload.look().await, Look::Unusable);
        assert_eq!(reload.look().await, Look::Same);
        fs::write(&files.key, "no key").unwrap();
        assert_eq!(reload.look().await, Look::Unusable);
        fs::remove_file(&files.certificate).unwrap();
        assert_eq!(reload.look().await, Look::Unusable);
        assert_eq!(reload.look().await, Look::Same);
        fs::write(&files.certificate, "").unwrap();
        assert_eq!(reload.look().await, Look::Unusable);
        assert!(serves(&reload, &old));

        write(&files, &new, &new);
        assert_eq!(reload.look().await, Look::Replaced);
        assert!(serves(&reload, &new));
        write(&files, &old, &old);
        assert_eq!(reload.look().await, Look::Replaced);
        assert!(serves(&reload, &old));
    }

    #[tokio::test]
    async fn a_gateway_does_not_start_with_a_bad_certificate() {
        let folder = TempDir::new().unwrap();
        let (files, one, other) = (files(&folder), make(), make());
        let missing = load(files.clone(), 1).await.err().unwrap().to_string();
        assert!(missing.contains("chain.pem"), "{missing}");
        write(&files, &one, &other);
        assert!(matches!(load(files.clone(), 1).await, Err(CertificateError::Unusable(_))));
        fs::write(&files.key, one.cert.pem()).unwrap();
        assert!(matches!(load(files.clone(), 1).await, Err(CertificateError::NotPem(..))));
        fs::write(&files.certificate, "-----BEGIN CERTIFICATE-----\n!\n").unwrap();
        assert!(matches!(load(files, 1).await, Err(CertificateError::NotPem(..))));
    }
}
