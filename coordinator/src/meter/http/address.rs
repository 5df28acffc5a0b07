//! A URL taken apart: pure.

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// As it stands in the URL: what the Host header says.
    pub(crate) authority: String,
    /// Without the last slash; empty where there is none.
    pub(crate) path: String,
}

impl Address {
    /// Takes `http://` or `https://HOST[:PORT][/PATH]` apart.
    ///
    /// # Errors
    /// When it is none, in words.
    pub(crate) fn of(url: &str) -> Result<Self, String> {
        let wrong = || format!("\"{}\" is no URL of a server", url.escape_debug());
        let uri: http::Uri = url.parse().map_err(|_| wrong())?;
        let usual = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().ok_or_else(wrong)?;
        // Credentials in an address travel with the document.
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong());
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || (authority.as_str().ends_with(':')) {
            return Err(wrong());
        }
        Ok(Self {
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(usual),
            authority: authority.as_str().to_owned(),
            path: uri.path().trim_end_matches('/').to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_host_a_port_and_a_path() {
        let whole = Address::of("https://[::1]:8443/prometheus/").unwrap();
        assert_eq!((whole.host.as_str(), whole.port), ("::1", 8443));
        assert_eq!((whole.authority.as_str(), whole.path.as_str()), ("[::1]:8443", "/prometheus"));
        let short = Address::of("http://bmc").unwrap();
        assert_eq!((short.host.as_str(), short.port, short.path.as_str()), ("bmc", 80, ""));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        for wrong in ["", "bmc", "ftp://x", "http://u:p@x", "http://x?y=1", "http://", "http://:9"]
        {
            assert!(Address::of(wrong).is_err(), "{wrong}");
        }
    }
}
