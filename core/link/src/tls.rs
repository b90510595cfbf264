//! Mutual TLS between the processes of a region. Certificates are read again when their files change; connections that
//! are open go on with what they had.

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use std::{
    io::{Error, ErrorKind, Result},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::watch,
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(5);

/// Where the certificates are, all PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// Whose certificates the other end must show.
    pub authority: PathBuf,
    /// The own chain and its key.
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// The name in the certificates of those that listen.
    pub name: String,
}

#[derive(Clone, Debug)]
struct Configs {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

/// Encrypts connections, or leaves them as they are.
#[derive(Clone, Debug, Default)]
pub struct Tls(Option<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    configs: watch::Receiver<Configs>,
    name: ServerName<'static>,
}

/// A connection, encrypted or not.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Wire for S {}

impl Tls {
    /// Connections stay as they are: the addresses belong on a private network.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Reads the files, and gives the task that reads them again when they change.
    pub fn load(files: TlsFiles) -> Result<(Self, impl Future<Output = ()> + Send + 'static)> {
        let name = ServerName::try_from(files.name.clone())
            .map_err(|_| Error::new(ErrorKind::InvalidInput, format!("{:?} is no name", files.name)))?;
        let seen = times(&files);
        let (sender, configs) = watch::channel(read(&files)?);
        Ok((Self(Some(Inner { configs, name })), keep(files, seen, sender)))
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> Result<Box<dyn Wire>> {
        let Some(inner) = &self.0 else { return Ok(Box::new(stream)) };
        let config = inner.configs.borrow().server.clone();
        Ok(Box::new(TlsAcceptor::from(config).accept(stream).await?))
    }

    pub(crate) async fn connect(&self, stream: TcpStream) -> Result<Box<dyn Wire>> {
        let Some(inner) = &self.0 else { return Ok(Box::new(stream)) };
        let config = inner.configs.borrow().client.clone();
        Ok(Box::new(TlsConnector::from(config).connect(inner.name.clone(), stream).await?))
    }
}

async fn keep(files: TlsFiles, mut seen: Vec<Option<SystemTime>>, sender: watch::Sender<Configs>) {
    loop {
        tokio::select! {
            () = sleep(LOOK) => {}
            () = sender.closed() => return,
        }
        let now = times(&files);
        if now == seen {
            continue;
        }
        match read(&files) {
            Ok(configs) => {
                tracing::info!("the link's certificates were read again");
                sender.send_replace(configs);
                seen = now;
            }
            // Half written, perhaps: looked at again.
            Err(error) => {
                tracing::warn!(%error, "the link's new certificates cannot be used; the old ones stay");
            }
        }
    }
}

fn times(files: &TlsFiles) -> Vec<Option<SystemTime>> {
    let all = [&files.authority, &files.certificate, &files.key];
    all.map(|file| std::fs::metadata(file).and_then(|data| data.modified()).ok()).into()
}

fn read(files: &TlsFiles) -> Result<Configs> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&files.authority)? {
        roots.add(certificate).map_err(|error| about(&files.authority, error))?;
    }
    let roots = Arc::new(roots);
    let chain = certificates(&files.certificate)?;
    let key = || PrivateKeyDer::from_pem_file(&files.key).map_err(|error| about(&files.key, error));
    let provider: Arc<CryptoProvider> = ring::default_provider().into();
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(|error| about(&files.authority, error))?;
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain.clone(), key()?)
        .map_err(|error| about(&files.certificate, error))?;
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key()?)
        .map_err(|error| about(&files.certificate, error))?;
    Ok(Configs { server: Arc::new(server), client: Arc::new(client) })
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(file).map_err(|error| about(file, error))?.collect();
    let read = read.map_err(|error| about(file, error))?;
    if read.is_empty() {
        return Err(about(file, "there is no certificate in it"));
    }
    Ok(read)
}

fn about(file: &Path, error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::InvalidInput, format!("{}: {error}", file.display()))
}
