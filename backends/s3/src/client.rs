//! The SDK's client, with deadlines for every call.

use crate::config::S3Config;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{
    Client,
    config::{
        Builder, Credentials, RequestChecksumCalculation, ResponseChecksumValidation,
        StalledStreamProtectionConfig,
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(3);
/// One try and all tries of a call that carries no blob.
const SMALL: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(12));
/// One try and all tries of a call that carries up to a part.
const LARGE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(120));
const TRIES: u32 = 3;

/// The same server, with different patience.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    pub(crate) small: Client,
    pub(crate) large: Client,
}

impl Clients {
    pub(crate) async fn new(config: &S3Config) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        if let Some(region) = region(config) {
            loader = loader.region(Region::new(region));
        }
        if let Some(keys) = &config.keys {
            let token = keys.session_token.clone();
            let keys = Credentials::new(&keys.access_key, &keys.secret_key, token, None, "the backend's URL");
            loader = loader.credentials_provider(keys);
        }
        let shared = loader.load().await;
        let mut builder = Builder::from(&shared)
            .force_path_style(config.path_style)
            .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
            // Servers other than AWS's often lack the newer checksums; requests are signed with their content's hash.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            // What is sent is in memory and has a deadline; what is read is watched where it is read.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Some(endpoint) = &config.endpoint {
            builder = builder.endpoint_url(endpoint);
        }
        let client =
            |deadlines| Client::from_conf(builder.clone().timeout_config(timeouts(deadlines)).build());
        Self { small: client(SMALL), large: client(LARGE) }
    }
}

/// The environment's when `None`: asked for in several places, some of them slow, so not for a server of one's own.
fn region(config: &S3Config) -> Option<String> {
    let own = config.endpoint.is_some() && std::env::var_os("AWS_REGION").is_none();
    config.region.clone().or_else(|| own.then(|| "us-east-1".to_owned()))
}

fn timeouts((one, all): (Duration, Duration)) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(one)
        .operation_timeout(all)
        .build()
}
