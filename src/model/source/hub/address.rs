//! Addresses of the web: where redirects lead, and which of them are the same server.

use ureq::http::Uri;

/// Writes an address's host for a message.
pub(super) fn host(url: &Uri) -> String {
    format!("`{}`", url.host().unwrap_or_default())
}

/// Says whether an address is one of the web, with a host.
pub(super) fn is_web(url: &Uri) -> bool {
    matches!(url.scheme_str(), Some("http" | "https")) && url.host().is_some()
}

/// Says whether two addresses are of the same server: scheme, host and port.
pub(super) fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    let port = |url: &Uri| url.port_u16().or((url.scheme_str() == Some("https")).then_some(443));
    let host = |url: &Uri| url.host().map(str::to_ascii_lowercase);
    one.scheme() == other.scheme()
        && host(one) == host(other)
        && port(one).unwrap_or(80) == port(other).unwrap_or(80)
}

/// Says whether a redirect stays encrypted where it was.
pub(super) fn keeps_tls(from: &Uri, to: &Uri) -> bool {
    from.scheme_str() != Some("https") || to.scheme_str() == Some("https")
}

/// Returns where a redirect leads: to another address, or to a path of the same server.
pub(super) fn target(from: &Uri, location: &str) -> Option<Uri> {
    let scheme = from.scheme_str()?;
    let address = match location {
        other if other.starts_with("//") => format!("{scheme}:{other}"),
        path if path.starts_with('/') => format!("{scheme}://{}{path}", from.authority()?),
        whole => whole.to_owned(),
    };
    address.parse().ok().filter(is_web)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say() {
        let leads = |location: &str| {
            let from = Uri::from_static("https://hub:8443/org/name/resolve/main/config.json");
            target(&from, location).map(|url| url.to_string())
        };
        let to = |address: &str| Some(address.to_owned());
        assert_eq!(leads("/api/x?y=https://z"), to("https://hub:8443/api/x?y=https://z"));
        assert_eq!(leads("//cdn/x"), to("https://cdn/x"));
        assert_eq!(leads("http://cdn:1/x?a=b"), to("http://cdn:1/x?a=b"));
        for bad in ["", "x", "file:///etc/passwd", "ftp://x/y", "/a b"] {
            assert_eq!(leads(bad), None, "{bad}");
        }
    }

    #[test]
    fn nobody_leads_out_of_tls() {
        let keeps = |from: &'static str, to: &'static str| {
            keeps_tls(&Uri::from_static(from), &Uri::from_static(to))
        };
        assert!(keeps("https://hub", "https://cdn") && keeps("http://hub", "https://cdn"));
        assert!(keeps("http://127.0.0.1:1", "http://127.0.0.1:2"));
        assert!(!keeps("https://hub", "http://hub"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let same = |one: &'static str, other: &'static str| {
            is_same_origin(&Uri::from_static(one), &Uri::from_static(other))
        };
        assert!(same("https://hub/a", "https://HUB:443/b"));
        assert!(same("http://hub", "http://hub:80/b?c"));
        assert!(!same("https://hub", "http://hub"));
        assert!(!same("https://hub", "https://hub:8443"));
        assert!(!same("https://hub", "https://hub.evil"));
        assert!(!same("https://hub", "https://cdn.hub"));
    }
}
