//! So many requests of one address per second and no more. The limits of apps, which the API documents, are the core's.

use crate::address::ClientAddress;
use http::{HeaderValue, Request, Response, StatusCode, header};
use lru::LruCache;
use meridian_link::{Body, bytes_body};
use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
    time::Instant,
};

/// Addresses that are remembered, about 6 MB of them. Who is forgotten starts again with a full bucket.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();
/// What an address may do at once after a quiet time, in seconds' worth.
const BURST_SECONDS: f64 = 2.0;
/// As the API refuses.
const REFUSAL: &str = r#"{"error":"reach_limit","error_description":"This request has reached api limit"}"#;

/// A token bucket for each address.
#[derive(Debug)]
pub(super) struct AddressRates {
    per_second: f64,
    buckets: Mutex<LruCache<IpAddr, (f64, Instant)>>,
}

impl AddressRates {
    /// 0: no limit.
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.into(), buckets: Mutex::new(LruCache::new(REMEMBERED)) }
    }

    /// The refusal of a request that is too much.
    pub(super) fn refuse<B>(&self, request: &Request<B>) -> Option<Response<Body>> {
        if self.per_second == 0.0 {
            return None;
        }
        let ClientAddress(address) = *request.extensions().get()?;
        if self.take(address, Instant::now()) {
            return None;
        }
        metrics::counter!("gateway_requests_refused_total").increment(1);
        let mut response = Response::new(bytes_body(REFUSAL));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        Some(response)
    }

    fn take(&self, address: IpAddr, now: Instant) -> bool {
        let full = self.per_second * BURST_SECONDS;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (tokens, at) = buckets.get_or_insert_mut(owner(address), || (full, now));
        let gone = now.saturating_duration_since(*at).as_secs_f64();
        *tokens = (*tokens + gone * self.per_second).min(full);
        *at = now;
        let enough = *tokens >= 1.0;
        if enough {
            *tokens -= 1.0;
        }
        enough
    }
}

/// Who has one address of IPv6 has a whole network of them.
fn owner(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn took(rates: &AddressRates, address: &str, times: usize, now: Instant) -> usize {
        let address = address.parse().unwrap();
        (0..times).filter(|_| rates.take(address, now)).count()
    }

    #[test]
    fn each_address_has_its_own_bucket() {
        let rates = AddressRates::new(10);
        let now = Instant::now();
        assert_eq!(took(&rates, "10.0.0.1", 100, now), 20);
        assert_eq!(took(&rates, "10.0.0.2", 100, now), 20);
        assert_eq!(took(&rates, "10.0.0.1", 100, now + Duration::from_millis(500)), 5);
    }

    #[test]
    fn a_network_of_ipv6_is_one_address_and_a_mapped_address_is_itself() {
        let rates = AddressRates::new(10);
        let now = Instant::now();
        assert_eq!(took(&rates, "2001:db8::1", 100, now), 20);
        assert_eq!(took(&rates, "2001:db8::ffff:2", 100, now), 0);
        assert_eq!(took(&rates, "2001:db8:0:1::1", 100, now), 20);
        assert_eq!(took(&rates, "10.0.0.1", 100, now), 20);
        assert_eq!(took(&rates, "::ffff:10.0.0.1", 100, now), 0);
    }

    #[test]
    fn memory_is_bounded() {
        let rates = AddressRates::new(1);
        for number in 0..70_000u32 {
            assert!(rates.take(IpAddr::from(number.to_be_bytes()), Instant::now()));
        }
        assert_eq!(rates.buckets.lock().unwrap().len(), REMEMBERED.get());
    }
}
