//! Short texts: join tokens, names in certificates, names as hostlists.

#![no_main]

use libfuzzer_sys::fuzz_target;
use proto::tls::{Identity, JoinToken, check_name};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(token) = JoinToken::parse(text) {
        assert!(JoinToken::parse(&token.text()).is_ok(), "{text:?}");
    }
    if let Some(name) = Identity::parse(text) {
        assert_eq!(Identity::parse(&name.uri()).map(|name| name.uri()), Some(name.uri()));
    }
    let _ = check_name(text);
    let names: Vec<&str> = text.lines().take(64).collect();
    let _ = formats::hostlist::fold(&names);
});
