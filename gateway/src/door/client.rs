//! Where a request comes from: found once, at the top, and told to whatever is below and behind in one form.

use crate::address::{self, ClientAddress, FORWARDED_FOR, FORWARDED_PROTO, Network, Peer};
use http::{HeaderValue, Request};

/// Adds the [`ClientAddress`]; from here on `x-forwarded-for` is that address, and `x-forwarded-proto` the client's
/// scheme. What anybody else wrote there is gone.
pub(super) fn find<B>(mut request: Request<B>, trusted: &[Network]) -> Request<B> {
    let Some(peer) = request.extensions().get::<Peer>().copied() else { return request };
    let client = address::client(peer.address, request.headers(), trusted);
    let scheme = address::scheme(peer, request.headers(), trusted);
    request.extensions_mut().insert(ClientAddress(client));
    let headers = request.headers_mut();
    headers.remove(FORWARDED_FOR);
    if let Ok(value) = HeaderValue::from_str(&client.to_string()) {
        headers.insert(FORWARDED_FOR, value);
    }
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(peer: &str, tls: bool) -> Vec<(String, String)> {
        let mut request = Request::builder()
            .header("x-forwarded-for", "198.51.100.1")
            .header("x-forwarded-for", "198.51.100.2")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-proto", "http")
            .body(())
            .unwrap();
        request.extensions_mut().insert(Peer { address: peer.parse().unwrap(), tls });
        let request = find(request, &["10.0.0.0/8".parse().unwrap()]);
        let all = request.headers().iter();
        all.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    fn expected(address: &str, scheme: &str) -> Vec<(String, String)> {
        [("x-forwarded-for", address), ("x-forwarded-proto", scheme)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn what_strangers_say_of_themselves_is_overwritten() {
        let sorted = |mut headers: Vec<_>| {
            headers.sort();
            headers
        };
        assert_eq!(sorted(headers("203.0.113.9", false)), expected("203.0.113.9", "http"));
        assert_eq!(sorted(headers("203.0.113.9", true)), expected("203.0.113.9", "https"));
        assert_eq!(sorted(headers("10.0.0.1", true)), expected("198.51.100.2", "http"));
    }
}
