//! What S3 says, in the words of the contract.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;
use meridian_ports::{Error, ErrorKind};
use std::error::Error as StdError;

/// An answer of the server's, or the lack of one.
pub(crate) type Failure<E> = SdkError<E, aws_sdk_s3::config::http::HttpResponse>;

pub(crate) fn invalid(verb: &'static str, why: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, verb, why)
}

/// The status of the answer, if there was one.
pub(crate) fn status<E>(failure: &Failure<E>) -> Option<u16> {
    failure.raw_response().map(|response| response.status().as_u16())
}

/// Whether the server has said that it did nothing.
pub(crate) fn is_refusal<E>(failure: &Failure<E>) -> bool {
    status(failure).is_some_and(|status| (300..500).contains(&status))
}

/// Whether nothing went over the network: for want of credentials, for instance.
pub(crate) fn is_not_sent<E>(failure: &Failure<E>) -> bool {
    match failure {
        SdkError::ConstructionFailure(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_user() || failure.is_other(),
        _ => false,
    }
}

pub(crate) fn from_sdk<E>(verb: &'static str, doing: &str, failure: Failure<E>) -> Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let code = failure.code().unwrap_or_default().to_owned();
    let status = status(&failure);
    let (kind, what) = meaning(&code, status, &failure);
    let mut message = format!("{doing}: {what}");
    if !code.is_empty() {
        message.push_str(&format!(" ({code})"));
    } else if let Some(status) = status {
        message.push_str(&format!(" (status {status})"));
    }
    if let Some(id) = failure.request_id() {
        message.push_str(&format!(", request {id}"));
    }
    let refused = is_refusal(&failure);
    // As text: the answer itself may be large.
    let error = Error::new(kind, verb, message).with_source(DisplayErrorContext(failure).to_string());
    if refused { error } else { error.maybe_done() }
}

fn meaning<E>(code: &str, status: Option<u16>, failure: &Failure<E>) -> (ErrorKind, &'static str) {
    use ErrorKind::{Busy, Full, Invalid, Timeout, Unavailable};
    match code {
        "NoSuchBucket" => return (Unavailable, "there is no such bucket"),
        "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "InvalidToken" | "ExpiredToken" => {
            return (Unavailable, "the credentials are refused");
        }
        "RequestTimeTooSkewed" => return (Unavailable, "the clocks of this machine and the server differ"),
        "PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException" => {
            return (Unavailable, "the bucket is in another region");
        }
        "QuotaExceeded" | "InsufficientStorage" | "XMinioStorageFull" => return (Full, "no space is left"),
        "EntityTooLarge" => return (Invalid, "the blob is too large for the server"),
        "SlowDown" | "TooManyRequests" | "RequestLimitExceeded" | "ThrottlingException" => {
            return (Busy, "the server asks to slow down");
        }
        _ => {}
    }
    match (failure, status) {
        (SdkError::TimeoutError(_), _) => (Timeout, "no answer in time"),
        (SdkError::DispatchFailure(failure), _) if failure.is_timeout() => (Timeout, "no connection in time"),
        (failure, _) if is_not_sent(failure) => {
            (Unavailable, "the request could not be made; are there credentials?")
        }
        (SdkError::DispatchFailure(_), _) => (Unavailable, "the server cannot be reached"),
        (_, Some(301 | 307)) => (Unavailable, "the bucket is elsewhere"),
        (_, Some(401 | 403)) => (Unavailable, "access is denied"),
        (_, Some(404)) => (Unavailable, "it is not there"),
        (_, Some(507)) => (Full, "no space is left"),
        (_, Some(429 | 503)) => (Busy, "the server is busy"),
        _ => (Unavailable, "the server failed"),
    }
}
